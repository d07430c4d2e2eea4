package transport

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A ClosedConnection describes a connection that is about to be closed.
type ClosedConnection struct {
	Origin    string        // scheme and host, as in Stats
	Protocol  string        // "HTTP/1.1", "HTTP/2.0", or what TLSNextProto calls it
	Reason    pool.Reason   // as in Counts.Closes
	PeerFirst bool          // the peer ended it before us
	Age       time.Duration // since its dial was done, handshake included
	Requests  int64         // begun on it; 0 if a RoundTripper of TLSNextProto serves it
	Local     string        // our address, as in the output of ss and lsof; "" if it has none
	Remote    string        // the peer's address: the server's, or a proxy's
}

// ObserveCloses calls f once with each connection that is closed from now on, until stop is called. A call of f may still be in progress
// then; stop may be called more than once. ObserveCloses does not count as the first use of the Transport, and goes on after Close until
// the last connection is gone. There may be several observers.
//
// f is called whenever a connection is given up, concurrently, each time in a goroutine of its own that is waited for, and with no lock
// held. It must neither block nor panic, nor be nil. It may use the Transport, except for the methods that wait until connections are
// closed: Close, Shutdown and CloseIdleConnections. While f observes and refers to the Transport, that cannot be collected.
func (t *Transport) ObserveCloses(f func(ClosedConnection)) (stop func()) {
	return t.closeObservers().add(f)
}

// closeObservers returns those of the Transport. They are apart from it, so that its core can have them.
func (t *Transport) closeObservers() *closeObservers {
	if t.closes.Load() == nil {
		t.closes.CompareAndSwap(nil, new(closeObservers))
	}
	return t.closes.Load()
}

// closeObservers are told of each connection that is closed.
type closeObservers struct {
	mu  sync.Mutex // serialises changes
	all atomic.Pointer[[]*func(ClosedConnection)]
}

func (o *closeObservers) add(f func(ClosedConnection)) (stop func()) {
	one := &f
	o.change(func(all []*func(ClosedConnection)) []*func(ClosedConnection) { return append(all, one) })
	return func() {
		o.change(func(all []*func(ClosedConnection)) []*func(ClosedConnection) {
			return slices.DeleteFunc(all, func(each *func(ClosedConnection)) bool { return each == one })
		})
	}
}

// change replaces the list by a changed copy: who goes through the one before is not disturbed.
func (o *closeObservers) change(by func([]*func(ClosedConnection)) []*func(ClosedConnection)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*func(ClosedConnection)
	if before := o.all.Load(); before != nil {
		all = slices.Clone(*before)
	}
	all = by(all)
	o.all.Store(&all)
}

// tell tells of a connection, if there is anybody to listen.
func (o *closeObservers) tell(cn conn, why pool.Reason, peerFirst bool, age time.Duration) {
	all := o.all.Load()
	if all == nil || len(*all) == 0 {
		return
	}
	nc := cn.network()
	closed := ClosedConnection{
		Origin: cn.books().name, Protocol: cn.protocol(), Reason: why, PeerFirst: peerFirst, Age: age,
		Requests: cn.served(false), Local: addrOf(nc.LocalAddr()), Remote: addrOf(nc.RemoteAddr()),
	}
	for _, f := range *all {
		apart(func() { (*f)(closed) })
	}
}

// apart calls f, which is the caller's, in a goroutine of its own, and waits: that may be exited, and ours must go on.
func apart(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	<-ended
}
