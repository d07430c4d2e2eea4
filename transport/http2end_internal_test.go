package transport

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

// Where a server ends a connection before its first request, that waits for what the server said until its context ends, and no longer.
func TestHTTP2EndIsAwaitedWithinTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Millisecond
		hc := &http2Conn{wire: new(http2Wire)}
		hc.wire.hungUp.Store(true) // and the codec does not come to it
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		began := time.Now()
		err := new(attempt).lost(ctx, &pool.RetiredError{Reason: ReasonPeerClosed, Conn: conn(hc)})
		assert.Equal(t, context.DeadlineExceeded, err)
		assert.Equal(t, timeout, time.Since(began))
	})
}
