package transport

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// pieces is a connection that hands over each Write, and brings what it is given to read.
type pieces struct {
	net.Conn
	written chan []byte
	coming  bytes.Buffer
	broken  bool // writes, after so many bytes
	after   int
}

func (c *pieces) Write(p []byte) (int, error) {
	if c.broken {
		return c.after, io.ErrClosedPipe
	}
	c.written <- bytes.Clone(p)
	return len(p), nil
}

func (c *pieces) Read(p []byte) (int, error) { return c.coming.Read(p) }

// An outboxTest has a wire as HTTP/2 has it once its preface and its first frames are written.
type outboxTest struct {
	*testing.T
	wire   *http2Wire
	conn   *pieces
	ours   *http2.Framer // writes to the wire
	theirs *http2.Framer // writes what is read from it
	expect bytes.Buffer  // what is to be in the next piece
	want   *http2.Framer // writes that
	flush  func() error  // as HTTP/2 does behind what it writes at once
}

func newOutboxTest(t *testing.T, perConn, perStream uint32) *outboxTest {
	o := &outboxTest{T: t, conn: &pieces{written: make(chan []byte, 100)}}
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	o.conn.Conn = ours
	c, err := newCore(&Transport{})
	require.NoError(t, err)
	hc := &http2Conn{core: c, settle: func() {}}
	o.wire = newHTTP2Wire(hc, o.conn, 1)
	hc.wire = o.wire
	o.wire.openOutbox()
	t.Cleanup(func() { _ = o.wire.Close() })
	var together bytes.Buffer
	o.ours, o.theirs, o.want = http2.NewFramer(&together, nil), http2.NewFramer(&o.conn.coming, nil), http2.NewFramer(&o.expect, nil)
	o.flush = func() error {
		_, err := o.wire.Write(together.Bytes())
		together.Reset()
		return err
	}
	together.WriteString(http2.ClientPreface)
	o.write(o.ours.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: perStream}), o.ours.WriteWindowUpdate(0, perConn-firstWindow))
	<-o.conn.written
	return o
}

// write writes frames at once.
func (o *outboxTest) write(errs ...error) {
	for _, err := range append(errs, o.flush()) {
		require.NoError(o, err)
	}
}

// head writes a request's head.
func (o *outboxTest) head(stream uint32, end bool) { o.write(headOf(o.ours, stream, end)) }

// claim has it go out.
func (o *outboxTest) claim() { o.wire.claim(&http2Exchange{conn: o.wire.conn}) }

// request is a request of which the head has gone out.
func (o *outboxTest) request(stream uint32, end bool) {
	o.head(stream, end)
	o.claim()
	<-o.conn.written
}

func headOf(f *http2.Framer, stream uint32, end bool) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte("head"), EndStream: end, EndHeaders: true})
}

// reads has the wire read what the server wrote.
func (o *outboxTest) reads(errs ...error) {
	for _, err := range errs {
		require.NoError(o, err)
	}
	for o.conn.coming.Len() > 0 {
		_, err := o.wire.Read(make([]byte, 1000))
		require.NoError(o, err)
	}
}

// wants compares the next piece with what was written to want.
func (o *outboxTest) wants(errs ...error) {
	o.Helper()
	for _, err := range errs {
		require.NoError(o, err)
	}
	assert.Equal(o, o.expect.Bytes(), <-o.conn.written)
	o.expect.Reset()
}

const (
	muchWindow = 1 << 20 // of a connection
	someWindow = 1 << 16 // of a stream
)

// What goes out is seen by pieces: one that went out too early would be one of its own.
func TestOutbox(t *testing.T) {
	start := func(t *testing.T) *outboxTest { return newOutboxTest(t, muchWindow, someWindow) }

	t.Run("heads", func(t *testing.T) {
		o := start(t)
		o.head(1, true)
		o.head(3, true)
		o.claim()
		o.wants(headOf(o.want, 1, true), headOf(o.want, 3, true))
	})
	t.Run("a head, and what goes out at once", func(t *testing.T) {
		o := start(t)
		o.head(1, false)
		o.write(o.ours.WriteData(1, false, []byte("hello")))
		o.wants(headOf(o.want, 1, false), o.want.WriteData(1, false, []byte("hello")))
		o.head(3, false)
		o.write(o.ours.WriteRSTStream(3, http2.ErrCodeCancel))
		o.wants(headOf(o.want, 3, false), o.want.WriteRSTStream(3, http2.ErrCodeCancel))
	})
	t.Run("the last of an upload", func(t *testing.T) {
		o := start(t)
		o.request(1, false)
		o.write(o.ours.WriteData(1, true, []byte("hello")))
		o.wants(o.want.WriteData(1, true, []byte("hello")))
	})
	t.Run("what is too large for one piece", func(t *testing.T) {
		o := start(t)
		o.head(1, false)
		o.write(o.ours.WriteData(1, true, make([]byte, 10000)))
		o.wants(headOf(o.want, 1, false))
		o.wants(o.want.WriteData(1, true, make([]byte, 10000)))
	})
	t.Run("the head of a large upload", func(t *testing.T) {
		o := start(t)
		o.head(1, false)
		o.wire.claim(&http2Exchange{conn: o.wire.conn, req: http.Request{ContentLength: 10000}})
		assert.Len(t, o.conn.written, 1, "nobody else is called for it")
		o.wants(headOf(o.want, 1, false))
	})
	t.Run("the connection's window", func(t *testing.T) {
		o := start(t)
		o.write(o.ours.WriteWindowUpdate(0, 4096))
		o.write(o.ours.WriteWindowUpdate(0, 5000))
		o.write(o.ours.WritePing(true, [8]byte{1}))
		o.wants(o.want.WriteWindowUpdate(0, 9096), o.want.WritePing(true, [8]byte{1}))
		o.write(o.ours.WriteWindowUpdate(0, 6000))
		o.head(1, true)
		o.claim()
		o.wants(o.want.WriteWindowUpdate(0, 6000), headOf(o.want, 1, true))
	})
	t.Run("a stream's window", func(t *testing.T) {
		o := start(t)
		for _, stream := range []uint32{1, 3} {
			o.request(stream, true)
		}
		o.reads(o.theirs.WriteData(3, false, make([]byte, 5000)), o.theirs.WriteData(1, true, make([]byte, 5000)))
		o.write(o.ours.WriteWindowUpdate(0, 5000), o.ours.WriteWindowUpdate(1, 5000))
		o.write(o.ours.WriteWindowUpdate(0, 4000), o.ours.WriteWindowUpdate(3, 5000))
		o.wants(o.want.WriteWindowUpdate(0, 5000), o.want.WriteWindowUpdate(0, 4000), o.want.WriteWindowUpdate(3, 5000))
	})
	t.Run("a stream's end", func(t *testing.T) {
		o := start(t)
		o.request(1, false)
		o.reads(headOf(o.theirs, 1, true))
		o.reads(o.theirs.WritePing(true, [8]byte{})) // when that is read, HTTP/2 has acted on the head
		assert.Len(o, o.wire.streams, 1)
		o.write(o.ours.WriteData(1, true, nil))
		assert.Len(o, o.conn.written, 1, "at once: the connection may be closed now")
		assert.Empty(o, o.wire.streams)
	})
}

// An update waits only as long as all that the open streams may bring fits into the connection's window without it.
func TestOutboxUpdates(t *testing.T) {
	for name, row := range map[string]struct {
		streams  int
		perConn  uint32
		arrived  int
		withheld bool
	}{
		"room for all":                        {streams: 3, perConn: 4*someWindow + spareWindow, withheld: true},
		"a byte too little":                   {streams: 3, perConn: 4*someWindow + spareWindow - 1},
		"some has been used, of much":         {streams: 1, perConn: 10 * someWindow, arrived: 7*someWindow - 1, withheld: true},
		"some has been used, and it is tight": {streams: 1, perConn: 10 * someWindow, arrived: 7*someWindow + 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutboxTest(t, row.perConn, someWindow)
			for i := range row.streams {
				o.request(uint32(2*i+1), true)
			}
			for left := row.arrived; left > 0; left -= 10000 {
				o.reads(o.theirs.WriteData(1, false, make([]byte, min(left, 10000))))
			}
			o.write(o.ours.WriteWindowUpdate(0, 1))
			if !row.withheld {
				o.wants(o.want.WriteWindowUpdate(0, 1))
			}
			o.write(o.ours.WriteWindowUpdate(0, 2)) // the first made room if it was written
			o.write(o.ours.WritePing(true, [8]byte{}))
			waited := uint32(2)
			if row.withheld {
				waited = 3
			}
			o.wants(o.want.WriteWindowUpdate(0, waited), o.want.WritePing(true, [8]byte{}))
		})
	}
}

// Where each byte has a time limit, everything goes out as it is written.
func TestOutboxIsClosed(t *testing.T) {
	o := newOutboxTest(t, muchWindow, someWindow)
	o.wire.outbox.open = false
	o.head(1, false)
	o.wants(headOf(o.want, 1, false))
	o.write(o.ours.WriteWindowUpdate(0, 5000))
	o.wants(o.want.WriteWindowUpdate(0, 5000))
}

// Where it took long to wait for others, heads go out at once for a while.
func TestOutboxHurries(t *testing.T) {
	o := newOutboxTest(t, muchWindow, someWindow)
	o.wire.outbox.direct.Store(int64(o.wire.conn.core.clock() + time.Hour))
	o.head(1, true)
	o.wants(headOf(o.want, 1, true))
	o.wire.outbox.direct.Store(int64(o.wire.conn.core.clock()))
	o.head(3, true)
	o.head(5, true)
	o.claim()
	o.wants(headOf(o.want, 3, true), headOf(o.want, 5, true))
	assert.Zero(t, o.wire.outbox.direct.Load())
}

// Where a Write fails, those are known whose heads it did not come to: what they ask may be asked elsewhere, whatever it is.
func TestOutboxThatCannotBeSent(t *testing.T) {
	const head = frameHeadLen + len("head")
	for after, unsent := range map[int][2]bool{0: {true, true}, 1: {false, true}, head: {false, true}, head + 1: {}} {
		o := newOutboxTest(t, muchWindow, someWindow)
		o.conn.broken, o.conn.after = true, after
		o.wire.outbox.writing <- struct{}{} // so that both are in one piece
		var both [2]http2Exchange
		for i := range both {
			both[i].conn = o.wire.conn
			o.head(uint32(2*i+1), true)
			o.wire.claim(&both[i])
		}
		<-o.wire.outbox.writing
		<-o.wire.outbox.quit
		o.wire.mu.Lock()
		assert.Equal(t, unsent, [2]bool{both[0].stream.unsent, both[1].stream.unsent}, after)
		o.wire.mu.Unlock()
	}
}
