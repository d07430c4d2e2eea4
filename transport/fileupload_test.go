package transport_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// largeFile is the size of a file that the system sends by itself, but for pieces of it.
const largeFile = 20<<20 + 12345

// openLarge returns a file of that size, and the sum of what lies behind its first skip bytes, where it stands.
func openLarge(t *testing.T, skip int) (*os.File, [sha256.Size]byte) {
	t.Helper()
	b := make([]byte, largeFile)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	name := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(name, b, 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.Seek(int64(skip), io.SeekStart)
	require.NoError(t, err)
	return f, sha256.Sum256(b[skip:])
}

// sendFile sends a file of which so many bytes are announced.
func sendFile(ctx context.Context, t *testing.T, rt http.RoundTripper, url string, body io.Reader, length int64) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, body)
	require.NoError(t, err)
	req.ContentLength = length
	return rt.RoundTrip(req)
}

// A large file arrives as it is, from where it stands, whether the system sends it or TLS lies between; and its connection goes on.
func TestLargeFile(t *testing.T) {
	for name, wrap := range map[string]func(*os.File) io.Reader{
		"file":           func(f *os.File) io.Reader { return f },
		"file kept open": func(f *os.File) io.Reader { return io.NopCloser(f) },
	} {
		t.Run(name, func(t *testing.T) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				sum := sha256.New()
				_, _ = io.Copy(sum, r.Body)
				_, _ = w.Write(sum.Sum(nil))
			}
			everywhere1(t, handler, func(s *story) {
				for _, skip := range []int{0, 1001} {
					f, want := openLarge(t, skip)
					resp, err := sendFile(t.Context(), t, s.rt, s.server.URL, wrap(f), largeFile-int64(skip))
					require.NoError(s, err)
					assert.Equal(s, string(want[:]), s.read(resp))
				}
				s.wantDials(1)
			})
		})
	}
}

// A file that is shorter or longer than its request says is the request's error, and no server takes it for whole.
func TestLargeFileOfAnotherLength(t *testing.T) {
	for name, announced := range map[string]int64{"shorter": largeFile + 1, "shorter by far": 2 * largeFile, "longer": largeFile - 1, "longer by far": largeFile - 2<<20} {
		t.Run(name, func(t *testing.T) {
			got := make(chan error, 1)
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				got <- err
			}))
			defer server.Close()
			tr := &transport.Transport{}
			defer func() { assert.NoError(t, tr.Close()) }()
			f, _ := openLarge(t, 0)
			_, err := sendFile(t.Context(), t, tr, server.URL, f, announced)
			assert.ErrorContains(t, err, "ContentLength")
			assert.Error(t, <-got)
			_, err = f.Read(make([]byte, 1))
			assert.ErrorIs(t, err, os.ErrClosed)
		})
	}
}

// A server that stops reading a large file holds nobody who does not want to wait, and the file is closed.
func TestLargeFileIsCancelled(t *testing.T) {
	ended := make(chan struct{})
	server := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Wait(ended)})
	tr := &transport.Transport{}
	defer func() { assert.NoError(t, tr.Close()) }()
	defer close(ended)
	f, _ := openLarge(t, 0)
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		defer cancel(stop)
		assert.Eventually(t, func() bool {
			at, err := f.Seek(0, io.SeekCurrent)
			return err != nil || at >= 64<<10
		}, patience, tick, "the system has none of it")
	}()
	_, err := sendFile(ctx, t, tr, server.URL, f, largeFile)
	assert.Equal(t, stop, err)
	_, err = f.Read(make([]byte, 1))
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.Zero(t, tr.Stats().Leased)
}

// A large file that its caller closes in the middle is an error of the body's, not of the connection's.
func TestLargeFileFails(t *testing.T) {
	begun, closed := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		close(begun)
		<-closed
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	tr := &transport.Transport{}
	defer func() { assert.NoError(t, tr.Close()) }()
	f, _ := openLarge(t, 0)
	go func() {
		defer close(closed)
		<-begun
		_ = f.Close()
	}()
	_, err := sendFile(t.Context(), t, tr, server.URL, f, largeFile)
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.False(t, errors.As(err, new(*net.OpError)), "%v", err)
}

// What a server says of a large file, and hangs up, is heard.
func TestLargeFileIsRefused(t *testing.T) {
	unlessOnWindows(t, resetsDestroy)
	for name, end := range map[string]badserver.Step{"closed": badserver.Close{}, "reset": badserver.RST{}} {
		t.Run(name, func(t *testing.T) {
			server := badserver.Start(t, badserver.Script{
				badserver.ReadHead{}, badserver.Read(4 << 20),
				badserver.Write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"), end,
			})
			tr := &transport.Transport{}
			defer func() { assert.NoError(t, tr.Close()) }()
			for range 5 {
				f, _ := openLarge(t, 0)
				resp, err := sendFile(t.Context(), t, tr, server.URL, f, largeFile)
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, "no", string(b))
			}
		})
	}
}
