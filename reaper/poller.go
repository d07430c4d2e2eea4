package reaper

// Each system has a poller of its own, a type with these methods. They are safe for concurrent use, but wait is for one
// goroutine, and close is called once.
//
//	newPoller() (*poller, error)
//	add(fd uintptr, id uint64) error           the hang-up of fd will be reported under id, also if it has come already, and under no
//	                                           other id that it was added with before
//	wait(report func(id uint64, err error))    reports until close, then frees what close left; after a report that unwound its goroutine it
//	                                           is called again, and goes on
//	close()                                    add fails from now on
//
// An id may be reported more than once. It is never reported for another socket.
var (
	_ func() (*poller, error)                   = newPoller
	_ func(*poller, uintptr, uint64) error      = (*poller).add
	_ func(*poller, func(id uint64, err error)) = (*poller).wait
	_ func(*poller)                             = (*poller).close
)

// eventsPerCall is how many events one system call fetches. A poller has room for them: 1.5 KiB on Linux, 4 or 5 KiB
// elsewhere.
const eventsPerCall = 128
