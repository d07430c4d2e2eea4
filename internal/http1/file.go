package http1

import (
	"errors"
	"io"
	"net"
	"os"
)

// Of a file with more than passFrom to send the system sends by itself what lies between two Reads, passSize at a time: less costs more
// than it saves, and more would let a slow upload look like one that stands still.
const (
	passFrom = 16 << 20
	passSize = 2 << 20
)

// largeFile returns the file that the body is, if the system may send it: over a connection on which nothing lies, as TLS would.
func (u *upload) largeFile(size int64) *os.File {
	f, ok := callersOwn(u.x.Body).(*os.File)
	if _, passes := u.c.nc.(io.ReaderFrom); !ok || !passes || size < passFrom {
		return nil
	}
	if about, err := f.Stat(); err != nil || !about.Mode().IsRegular() {
		return nil // its Read may block, or end, as it likes
	}
	return f
}

// pass lets the system send n bytes of a file from where that stands, and returns how many there were. The last of all are left to who reads them,
// fewer than one Read brings: so it shows before they are sent whether the file has the length that was announced.
func (u *upload) pass(f *os.File, n int64) (int64, error) {
	passed, err := u.write(func(nc net.Conn) (int64, error) {
		return nc.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: f, N: n})
	})
	if !errors.As(err, new(writeError)) {
		return passed, err
	}
	if _, rerr := u.read(make([]byte, 1)); rerr != nil && rerr != io.EOF {
		return passed, rerr // it was the file that failed
	}
	return passed, err
}
