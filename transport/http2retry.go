package transport

import (
	"math/rand/v2"
	"time"
)

// maxRefusals is how often a request is sent again that the server did not process: as often as net/http does it.
const maxRefusals = 6

// mayRefuse counts an attempt that the server did not process, and reports whether there may be another.
func (a *attempt) mayRefuse() bool {
	if a.crowded {
		return true
	}
	a.refusals++
	return a.refusals <= maxRefusals
}

// backOff waits before the request is sent again: not after the first refusal, which is likely to be that of a server that is about
// to restart; then for one second, two, four and so on, and up to a tenth more. It returns why the request ended meanwhile.
func (a *attempt) backOff() error {
	if a.refusals < 2 || a.crowded {
		return nil
	}
	pause := time.Second << (a.refusals - 2)
	timer := time.NewTimer(pause + rand.N(pause/10))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.req.Cancel:
		return a.watch.look()
	case <-a.ctx.Done():
		return a.cause()
	}
}
