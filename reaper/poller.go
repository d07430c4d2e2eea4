package reaper

// Each system has a poller of its own, a type with these methods. They are safe for concurrent use, but wait is for one
// goroutine, and close is called once.
//
//	newPoller() (*poller, error)
//	add(fd uintptr, id uint64) error           the hang-up of fd will be reported under id, also if it has come already
//	remove(fd uintptr) error                   it will not; an error if fd is unknown
//	wait(report func(id uint64, err error))    reports until close, then frees what close left
//	close()                                    add and remove fail from now on
//
// An id may be reported more than once, and after its socket was removed. It is never reported for another socket.
var (
	_ func() (*poller, error)                   = newPoller
	_ func(*poller, uintptr, uint64) error      = (*poller).add
	_ func(*poller, uintptr) error              = (*poller).remove
	_ func(*poller, func(id uint64, err error)) = (*poller).wait
	_ func(*poller)                             = (*poller).close
)

// eventsPerCall is how many events one system call fetches. A poller has room for them: 1.5 KiB on Linux, 4 KiB
// elsewhere.
const eventsPerCall = 128
