package memnet

import "sync"

// bufferSize is how much one direction holds: what a socket's two buffers hold, roughly.
const bufferSize = 256 << 10

// A stream is one direction of a connection.
type stream struct {
	mu       sync.Mutex // guards the fields below
	buf      []byte
	readErr  error         // what reads say once buf is empty
	writeErr error         // what writes say
	changed  chan struct{} // closed at the next change
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

func (s *stream) changeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte, expired <-chan struct{}) (int, error) {
	for {
		select {
		case <-expired:
			return 0, errDeadline
		default:
		}
		s.mu.Lock()
		switch {
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[n:]
			s.changeLocked()
			s.mu.Unlock()
			return n, nil
		case s.readErr != nil:
			err := s.readErr
			s.mu.Unlock()
			return 0, err
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-expired:
		}
	}
}

func (s *stream) write(p []byte, d *deadline) (n int, err error) {
	for {
		expired := d.passed()
		select {
		case <-expired:
			return n, errDeadline
		default:
		}
		s.mu.Lock()
		if err := s.writeErr; err != nil {
			s.mu.Unlock()
			return n, err
		}
		if room := bufferSize - len(s.buf); room > 0 && len(p) > 0 {
			m := min(room, len(p))
			s.buf = append(s.buf, p[:m]...)
			n, p = n+m, p[m:]
			s.changeLocked()
		}
		if len(p) == 0 {
			s.mu.Unlock()
			return n, nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-expired:
		}
	}
}

// end lets reads go on to what was written and then say readErr; writes say writeErr at once.
func (s *stream) end(readErr, writeErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr == nil {
		s.readErr = readErr
	}
	s.writeErr = writeErr
	s.changeLocked()
}

// abandon loses what was written; reads and writes say these errors.
func (s *stream) abandon(readErr, writeErr error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf, s.readErr = nil, readErr
	if s.writeErr == nil {
		s.writeErr = writeErr
	}
	s.changeLocked()
}
