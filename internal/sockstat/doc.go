// Package sockstat reads the kernel's view of TCP sockets, for tests and demonstrations: what a program claims about
// its sockets is worth what somebody else counted. On Linux it asks netlink's inet_diag, or reads /proc/net/tcp where
// that is refused. On other systems its functions return an error that wraps errors.ErrUnsupported.
package sockstat
