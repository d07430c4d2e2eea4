package transport

import (
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Read that ends at the moment at which a Guard's timer fires was in progress until then: the body is not forgotten.
func TestTheEndOfAReadMeetsTheTimer(t *testing.T) {
	for range 200 {
		b := &guardedBody{timeout: time.Hour, open: &register{}, onEnd: func() {}, body: http.NoBody}
		b.arm()
		require.NoError(t, b.begin())
		b.idle = b.idle.Add(-2 * b.timeout) // the Read took so long
		stop, fired := make(chan struct{}), make(chan struct{}, 1)
		var timers sync.WaitGroup
		for range 2 { // who fight for the lock
			timers.Go(func() {
				for {
					b.expired()
					select {
					case fired <- struct{}{}:
					case <-stop:
						return
					default:
					}
				}
			})
		}
		<-fired
		b.rest()
		close(stop)
		timers.Wait()
		require.Empty(t, b.cause)
		b.end("")
	}
}

// A Close that meets who looks whether the rest of the body has arrived ends the body itself: it takes nobody but a Read for a Read, which
// would cost the connection.
func TestCloseMeetsTheRest(t *testing.T) {
	for range 5000 {
		nc, _ := net.Pipe()
		hc := &http1Conn{}
		hc.h.Init(nc, hc)
		s := &stream{conn: hc, ended: true} // so that neither has more to do
		begun := make(chan struct{})
		var taker sync.WaitGroup
		taker.Go(func() {
			for i := 0; !s.closing.Load() || i < 100; i++ {
				if s.takeRest(); i == 10 {
					close(begun)
				}
				if i%512 == 511 {
					runtime.Gosched() // or the Close waits for its processor
				}
			}
		})
		<-begun
		s.close()
		taker.Wait()
		require.Equal(t, http.ErrBodyReadAfterClose, s.err)
	}
}
