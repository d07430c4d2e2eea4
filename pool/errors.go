package pool

import "errors"

var (
	// ErrClosed is the error of an Acquire after Close or Shutdown, and of one that was waiting then.
	ErrClosed = errors.New("pool: closed")

	// ErrWaitTimeout is the error of an Acquire that queued for WaitTimeout, because of MaxConnsPerKey or OneShared.
	ErrWaitTimeout = errors.New("pool: no connection within WaitTimeout")

	errNilConn       = errors.New("pool: Dial returned neither a connection nor an error")
	errKnownConn     = errors.New("pool: Dial returned a connection that the pool holds already")
	errNotComparable = errors.New("pool: Dial returned a connection that cannot be compared: a pointer can")
	errDialExited    = errors.New("pool: Dial did not return: it called runtime.Goexit")
)

// A RetiredError is the error of an Acquire whose new connection was retired before anybody could lease it, for example because its
// peer hung up at once. The pool does not dial again by itself, since that could go on for ever.
type RetiredError struct {
	Reason Reason // as given to Retire
	Conn   any    // the connection, of the Pool's type, which is being closed: OnClose was called
}

// Error names the reason.
func (e *RetiredError) Error() string {
	return "pool: new connection retired before its first lease: " + string(e.Reason)
}

// A Reason tells why a connection was closed. Users of the pool may define their own.
type Reason string

// The pool's own reasons.
const (
	IdleTimeout Reason = "idle timeout"  // idle for IdleTimeout
	Lifetime    Reason = "lifetime"      // older than MaxLifetime
	Evicted     Reason = "evicted"       // one idle connection too many: MaxIdle or MaxIdlePerKey
	IdleClosed  Reason = "idle closed"   // CloseIdle or CloseOldestIdle
	Unwanted    Reason = "unwanted dial" // nobody waited for the dial any more, and its connection was not to be kept
	Closed      Reason = "pool closed"   // Close or Shutdown
)
