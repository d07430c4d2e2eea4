// Package sockstat reads the kernel's view of TCP sockets, for tests and demonstrations: what a program claims about its sockets is worth
// what somebody else counted.
//
// On Linux, [List] asks netlink's inet_diag, or reads /proc/net/tcp where that is refused. [Descriptors] counts file
// descriptors on Linux and, for the calling process, on macOS. Elsewhere these functions return an error that wraps
// errors.ErrUnsupported.
//
// A dump of thousands of sockets is no snapshot: sockets come and go while the kernel walks its tables, and one that changes from
// ESTABLISHED to TIME_WAIT meanwhile may be seen twice or not at all. Look at sockets at rest, or look again.
package sockstat
