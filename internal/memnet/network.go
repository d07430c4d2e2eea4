package memnet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// A Network is a set of listeners. The zero value is ready to use and must not be copied.
type Network struct {
	mu        sync.Mutex // guards the fields below
	listeners map[string]*Listener
	open      int // ends of connections that are not closed
}

// Listen returns a listener for an address such as "a.example:80".
func (n *Network) Listen(addr string) (*Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: address(addr), Err: syscall.EADDRINUSE}
	}
	l := &Listener{network: n, addr: address(addr), backlog: make(chan *Conn, 128), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*Listener{}
	}
	n.listeners[addr] = l
	return l, nil
}

// DialContext connects to a listener; it fits http.Transport.DialContext. Nobody listening is ECONNREFUSED.
func (n *Network) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: address(addr), Err: syscall.ECONNREFUSED}
	}
	client, server := n.pipe(address("client"), l.addr)
	select {
	case l.backlog <- server:
		return client, nil
	case <-l.closed:
		client.drop()
		server.drop()
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: address(addr), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		client.drop()
		server.drop()
		return nil, context.Cause(ctx)
	}
}

// Open returns how many ends of connections are not closed.
func (n *Network) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

func (n *Network) add(ends int) {
	n.mu.Lock()
	n.open += ends
	n.mu.Unlock()
}

// pipe returns the two ends of a connection.
func (n *Network) pipe(a, b address) (*Conn, *Conn) {
	n.add(2)
	there, back := newStream(), newStream()
	return newConn(n, back, there, a, b), newConn(n, there, back, b, a)
}

// A Listener accepts the connections to one address.
type Listener struct {
	network *Network
	addr    address
	backlog chan *Conn
	once    sync.Once
	closed  chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Accept returns the next connection; after Close, net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close ends the listener; connections that nobody accepted are reset.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.Reset()
			default:
				return
			}
		}
	})
	return nil
}

// Addr returns the address that Listen was given.
func (l *Listener) Addr() net.Addr { return l.addr }

// An address is a name in a Network.
type address string

func (address) Network() string  { return "mem" }
func (a address) String() string { return string(a) }
