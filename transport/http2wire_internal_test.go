package transport

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// A request whose head is written when the connection has just been closed has no stream: Close has ended the leases of those there
// were, and would not come back for one more. So its RoundTrip knows that nothing was written, and ends its lease itself.
func TestHTTP2HeadAfterClose(t *testing.T) {
	for _, closed := range []bool{false, true} {
		ours, theirs := net.Pipe()
		go func() { _, _ = new(bytes.Buffer).ReadFrom(theirs) }()
		hc := &http2Conn{core: &core{}, settle: func() {}}
		w := newHTTP2Wire(hc, ours, 1)
		hc.wire = w
		w.out.skip = 0 // the preface has been written
		if closed {
			assert.NoError(t, w.Close())
		}
		err := http2.NewFramer(w, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("head"), EndStream: true, EndHeaders: true})
		assert.Equal(t, closed, err != nil)
		x := &http2Exchange{conn: hc}
		w.claim(x)
		_, written := x.leave()
		assert.Equal(t, !closed, written)
		assert.Equal(t, closed, len(w.streams) == 0)
		assert.NoError(t, ours.Close())
		assert.NoError(t, theirs.Close())
	}
}

// An eofConn is one whose Writes say io.EOF where the other end has gone, as those of a tunnel through SSH do.
type eofConn struct{ net.Conn }

func (eofConn) Write([]byte) (int, error) { return 0, io.EOF }

// No Write of an upload says io.EOF, neither of its own nor as a ping did before: the codec would hand that to those who read the
// response, who would take it for whole.
func TestHTTP2WritesDoNotSayEOF(t *testing.T) {
	for _, pinged := range []bool{false, true} {
		ours, theirs := net.Pipe()
		hc := &http2Conn{core: &core{}, settle: func() {}}
		w := newHTTP2Wire(hc, eofConn{ours}, 1)
		hc.wire = w
		w.out.skip = 0 // the preface has been written
		if pinged {
			w.fail(io.EOF)
		}
		assert.ErrorIs(t, http2.NewFramer(w, nil).WriteData(1, false, []byte("hello")), io.ErrUnexpectedEOF)
		_ = ours.Close()
		assert.NoError(t, theirs.Close())
	}
}

// Those who wait for the server's first SETTINGS go ahead when the codec has acted on them, which it has when it reads on. Before that it
// would have those wait for each other's end who are more than it allows at first.
func TestHTTP2SettingsAreActedOnFirst(t *testing.T) {
	ours, theirs := net.Pipe()
	c, err := newCore(&Transport{})
	require.NoError(t, err)
	settled := false
	hc := &http2Conn{core: c, settle: func() { settled = true }}
	w := newHTTP2Wire(hc, ours, 1)
	hc.wire = w
	go func() {
		f := http2.NewFramer(theirs, nil)
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000})
		_ = f.WritePing(false, [8]byte{})
	}()
	p := make([]byte, 100)
	for w.limit.Load() == 1 {
		_, err = w.Read(p)
		require.NoError(t, err)
	}
	assert.True(t, hc.admits(1000), "to wait")
	assert.False(t, settled)
	_, err = w.Read(p)
	require.NoError(t, err)
	assert.True(t, settled)
	assert.NoError(t, ours.Close())
	assert.NoError(t, theirs.Close())
}

// A connection of whose window too much is lost is used no more, whichever comes first: that the codec acts on an answer's end, or that its
// request is given up.
func TestHTTP2WindowIsSpent(t *testing.T) {
	for _, got := range []uint32{250, 251} {
		for name, gaveUpFirst := range map[string]bool{"given up first": true, "answered first": false} {
			hc := &http2Conn{}
			w := newHTTP2Wire(&http2Conn{core: &core{}}, nil, 1)
			hc.wire, w.conn, w.whole = w, hc, 1000
			x := &http2Exchange{conn: hc, stream: http2Stream{id: 1, sent: true, got: got}}
			x.once.Do(func() {}) // it has no lease
			w.streams[1], x.stream.exchange = &x.stream, x
			if gaveUpFirst {
				x.leave()
				w.actedOn(1)
			} else {
				w.actedOn(1)
				x.leave()
			}
			assert.Equal(t, int64(got) > w.whole/maxEaten, hc.gone.Load(), "%d bytes, %s", got, name)
		}
	}
}
