package transport

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A server may answer and reset before we know that the head was written: x/net's only Close comes too early then, and counts
// nevertheless. It does not where nothing was sent, and not once the caller has the body back.
func TestHTTP2UploadClosesWhatWasBegun(t *testing.T) {
	type do func(u *http2Upload)
	closing := func(u *http2Upload) { assert.NoError(t, u.Close()) }
	begin, leave := (*http2Upload).begin, (*http2Upload).leave
	for _, row := range []struct {
		name  string
		steps []do
		want  int
	}{
		{"begun, closed", []do{begin, closing}, 1},
		{"closed, begun", []do{closing, begin}, 1},
		{"closed twice, begun, closed", []do{closing, closing, begin, closing}, 1},
		{"closed", []do{closing}, 0},
		{"closed, left", []do{closing, leave}, 0},
		{"closed, left, begun", []do{closing, leave, begin}, 0},
		{"begun, left, closed", []do{begin, leave, closing}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			closes := make(chan struct{}, 3)
			u := &http2Upload{requestBody: &requestBody{ReadCloser: closeFunc{strings.NewReader("x"), func() { closes <- struct{}{} }}}}
			for _, step := range row.steps {
				step(u)
			}
			for range row.want {
				<-closes
			}
			assert.Empty(t, closes)
			assert.Equal(t, row.want > 0, u.requestBody.closed.Load())
		})
	}
}

type closeFunc struct {
	io.Reader
	closed func()
}

func (c closeFunc) Close() error { c.closed(); return nil }

// A Read that is about to return does so before the body is closed, which most bodies do not expect from another goroutine; one that
// blocks ends as the body is closed under it.
func TestHTTP2UploadIsClosedBehindItsRead(t *testing.T) {
	for name, blocks := range map[string]bool{"returns": false, "blocks": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ends := make(chan struct{})
				end := sync.OnceFunc(func() { close(ends) })
				if !blocks {
					time.AfterFunc(time.Millisecond, end)
				}
				reading, inTime := true, false
				u := &http2Upload{begun: true, requestBody: &requestBody{ReadCloser: closeFunc{
					readFunc(func([]byte) (int, error) {
						<-ends
						reading = false
						return 1, nil
					}),
					func() {
						inTime = !reading
						end()
					},
				}}}
				go func() { _, _ = u.Read(make([]byte, 1)) }()
				synctest.Wait()
				assert.NoError(t, u.Close())
				assert.Equal(t, !blocks, inTime)
				synctest.Wait()
				assert.False(t, reading)
				_, err := u.Read(make([]byte, 1))
				assert.Error(t, err, "no other Read begins")
			})
		})
	}
}

// A body in memory that was read to its end may be its caller's again, who has the response, before x/net closes it: who sends one reader
// again and again has no Close to wait for. The race detector tells.
func TestHTTP2UploadDoesNotLookAtWhatIsTheCallersAgain(t *testing.T) {
	body := strings.NewReader("x")
	u := &http2Upload{begun: true, requestBody: &requestBody{ReadCloser: io.NopCloser(body)}}
	read, closed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, u)
		close(read)
		_ = u.Close()
	}()
	<-read
	_, err := body.Seek(0, io.SeekStart)
	assert.NoError(t, err)
	<-closed
	assert.True(t, u.requestBody.closed.Load())
}

type readFunc func([]byte) (int, error)

func (r readFunc) Read(p []byte) (int, error) { return r(p) }
