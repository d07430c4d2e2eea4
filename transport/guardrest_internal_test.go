package transport

import (
	"net/http"
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
