//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// serverMark is in the environment of a process that is a server, and nothing else of the test's binary.
const serverMark = "WATERTIGHT_SERVER_CHILD"

// TestServerProcess is the server of the tests below: it serves until it is killed, or its test is gone. "/body" ends after 20,000
// of 4 million bytes, "/head" has no answer, "/upload" is not read, each for as long as its client stays; others answer with their path.
func TestServerProcess(t *testing.T) {
	if os.Getenv(serverMark) == "" {
		return // it is no test
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println("serves http://" + l.Addr().String())
	var said sync.Mutex
	server := &http.Server{Protocols: cleartextProtocols(true), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			w.Header().Set("Content-Length", "4000000")
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
			fallthrough
		case "/head", "/upload":
			said.Lock()
			fmt.Println("has " + r.URL.Path)
			said.Unlock()
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, r.URL.Path)
		}
	})}
	go func() { _ = server.Serve(l) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = server.Close()
}

// cleartextProtocols returns the protocols of servers that speak both, and of clients that speak one.
func cleartextProtocols(both bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(both)
	p.SetUnencryptedHTTP2(true)
	return p
}

// A serverProcess is a server that can be killed and stopped.
type serverProcess struct {
	*testing.T
	URL  string
	cmd  *exec.Cmd
	says *bufio.Scanner
}

func startServerProcess(t *testing.T) *serverProcess {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^TestServerProcess$")
	cmd.Env = append(os.Environ(), serverMark+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &serverProcess{T: t, cmd: cmd, says: bufio.NewScanner(stdout)}
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	p.URL = p.await("serves ")
	return p
}

func (p *serverProcess) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// await returns the rest of the next line that the server says, which begins so.
func (p *serverProcess) await(begin string) string {
	p.Helper()
	require.True(p, p.says.Scan(), "the server's process has ended")
	rest, ok := strings.CutPrefix(p.says.Text(), begin)
	require.True(p, ok, p.says.Text())
	return rest
}

// A plight is what requests are in when something happens to their server: one that waits for a head, one that uploads, one whose body is
// read and one whose body nobody reads. A fifth connection is idle. Over HTTP/2 all are on one.
type plight struct {
	head, upload, body chan error
	unread             *http.Response
}

// What has a timeout comes last.
func (p *serverProcess) plight(tr *transport.Transport, ctx context.Context) plight {
	pl := plight{head: make(chan error, 1), upload: make(chan error, 1), body: make(chan error, 1)}
	get := func() *http.Response {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/body", nil)
		require.NoError(p, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(p, err)
		p.await("has /body")
		return resp
	}
	read := get()
	go func() {
		_, err := io.Copy(io.Discard, read.Body)
		pl.body <- err
	}()
	pl.unread = get()
	go func() { pl.upload <- upload(ctx, tr, p.URL+"/upload", 64<<20) }()
	p.await("has /upload")
	go func() { pl.head <- upload(ctx, tr, p.URL+"/head", 0) }()
	p.await("has /head")
	require.NoError(p, mustGet(p.T, tr, p.URL+"/idle").Body.Close())
	open, idle := 5, 1
	if tr.Protocols != nil {
		open, idle = 1, 0
	}
	require.Eventually(p, func() bool { st := tr.Stats(); return st.Open == open && st.Idle == idle }, patience, tick)
	return pl
}

// A server that is killed ends all that it was in, at once and without any timeout: who waits is told, and no socket is left, nor is
// one of a body that nobody reads.
func TestServerKilled(t *testing.T) {
	for name, protocols := range map[string]*http.Protocols{"http": nil, "http2": cleartextProtocols(false)} {
		t.Run(name, func(t *testing.T) {
			testServerKilled(t, &transport.Transport{Logger: discardLogger, Protocols: protocols})
		})
	}
}

func testServerKilled(t *testing.T, tr *transport.Transport) {
	p := startServerProcess(t)
	defer tr.Close()
	pl := p.plight(tr, t.Context())
	p.signal(syscall.SIGKILL)
	for name, end := range map[string]chan error{"head": pl.head, "upload": pl.upload, "body": pl.body} {
		select {
		case err := <-end:
			assert.Error(t, err, name)
		case <-time.After(patience):
			t.Fatal("still waits: ", name)
		}
	}
	require.Eventually(t, func() bool { return tr.Stats().Open == 0 && len(socketsTo(t, p.URL)) == 0 }, patience, tick, "the unread body's as well")
	n, err := io.Copy(io.Discard, pl.unread.Body)
	assert.Error(t, err)
	assert.LessOrEqual(t, n, int64(20000))
	require.NoError(t, pl.unread.Body.Close())
	_, err = p.cmd.Process.Wait() // its listener may be the last that is closed
	require.NoError(t, err)
	_, err = (&http.Client{Transport: tr}).Get(p.URL)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Over HTTP/2 a ping tells of a server that is stopped, and ends all that is on its connection.
func TestServerStoppedHTTP2(t *testing.T) {
	t.Parallel()
	p := startServerProcess(t)
	tr := &transport.Transport{
		Protocols: cleartextProtocols(false), HTTP2: &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 4 * time.Second},
		Logger: discardLogger,
	}
	defer tr.Close()
	pl := p.plight(tr, t.Context())
	p.signal(syscall.SIGSTOP)
	defer p.signal(syscall.SIGCONT)
	for name, end := range map[string]chan error{"head": pl.head, "upload": pl.upload, "body": pl.body} {
		select {
		case err := <-end:
			assert.Error(t, err, name)
		case <-time.After(patience):
			t.Fatal("still waits: ", name)
		}
	}
	_, err := io.Copy(io.Discard, pl.unread.Body)
	assert.Error(t, err)
	require.NoError(t, pl.unread.Body.Close())
	require.Eventually(t, func() bool { return tr.Stats().Open == 0 && len(socketsTo(t, p.URL)) == 0 }, patience, tick)
	assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonSilent])
	p.signal(syscall.SIGCONT)
	require.NoError(t, mustGet(t, tr, p.URL+"/again").Body.Close())
}

// A server that is stopped says nothing more while its system goes on to acknowledge what comes: each wait ends by the timeout that is for
// it, nothing is left, and once the server goes on it is asked as if nothing had been.
func TestServerStopped(t *testing.T) {
	t.Parallel()
	p := startServerProcess(t)
	tr := &transport.Transport{
		ResponseHeaderTimeout: 4 * time.Second, UnackedTimeout: 4 * time.Second, IdleConnTimeout: 4 * time.Second, MaxIdleConnsPerHost: 10,
		Logger: discardLogger,
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bodies, end := context.WithCancelCause(ctx)
	pl := p.plight(tr, bodies)
	p.signal(syscall.SIGSTOP)
	defer p.signal(syscall.SIGCONT)

	var timeout net.Error
	require.ErrorAs(t, <-pl.head, &timeout, "ResponseHeaderTimeout")
	assert.True(t, timeout.Timeout())
	require.Error(t, <-pl.upload, "UnackedTimeout")
	require.Eventually(t, func() bool { return tr.Stats().Idle == 0 }, patience, tick, "IdleConnTimeout")
	_, err := (&http.Client{Transport: tr}).Post(p.URL+"/new", "", nil)
	require.ErrorAs(t, err, &timeout, "the system takes connections for the server")
	assert.True(t, timeout.Timeout())
	end(context.DeadlineExceeded)
	assert.ErrorIs(t, <-pl.body, context.DeadlineExceeded, "nothing else bounds a body")
	require.NoError(t, pl.unread.Body.Close())
	require.NoError(t, ctx.Err(), "all of them long before")
	require.Eventually(t, func() bool { return tr.Stats().Open == 0 && len(socketsTo(t, p.URL)) == 0 }, patience, tick)

	p.signal(syscall.SIGCONT)
	for i := range 20 {
		path := fmt.Sprintf("/%d", i)
		resp := mustGet(t, tr, p.URL+path)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, path, string(text))
	}
}
