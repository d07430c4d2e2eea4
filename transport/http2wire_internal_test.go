package transport

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/http2"
)

// A request whose head is written when the connection has just been closed has no stream: Close has ended the leases of those there
// were, and would not come back for one more. So its RoundTrip knows that nothing was written, and ends its lease itself.
func TestHTTP2HeadAfterClose(t *testing.T) {
	for _, closed := range []bool{false, true} {
		ours, theirs := net.Pipe()
		go func() { _, _ = new(bytes.Buffer).ReadFrom(theirs) }()
		hc := &http2Conn{core: &core{}, settle: func() {}}
		w := newHTTP2Wire(hc, ours, firstStreamLimit)
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
