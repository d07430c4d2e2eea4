//go:build linux

package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A hangup is a server that sends a body and hangs up, over http or https.
func hangup(t *testing.T, https bool, steps ...badserver.Step) (*badserver.Server, *transport.Transport) {
	start := badserver.Start
	if https {
		start = badserver.StartTLS
	}
	server := start(t, badserver.Script(steps))
	tr := &transport.Transport{TLSClientConfig: server.TLS}
	t.Cleanup(func() { assert.NoError(t, tr.Close()) })
	return server, tr
}

func plainAndTLS(t *testing.T, tell func(t *testing.T, https bool)) {
	for _, https := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[https], func(t *testing.T) { tell(t, https) })
	}
}

// serverSockets returns the states of our sockets that are connected to the server.
func serverSockets(t testing.TB, server *badserver.Server) sockstat.Counts {
	t.Helper()
	return sockstat.Count(socketsTo(t, server.URL))
}

func wantNoSocket(t *testing.T, server *badserver.Server) {
	t.Helper()
	require.Eventually(t, func() bool { return len(serverSockets(t, server)) == 0 }, patience, tick, "a socket is left")
}

var (
	absorbHead = "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
	absorbBody = strings.Repeat("0123456789", 6000) // fits into the receive queue of a socket that nobody reads
)

// A server sends the rest of a body and hangs up while nobody reads: our socket is gone, nothing is in CLOSE_WAIT, the slot
// under MaxConnsPerHost is free, and whoever reads later reads every byte.
func TestAbsorb(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		for _, before := range []int{0, 1, 20000, 59999} {
			server, tr := hangup(t, https, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody), badserver.Close{})
			tr.MaxConnsPerHost = 1
			resp := mustGet(t, tr, server.URL)
			got := make([]byte, before)
			_, err := io.ReadFull(resp.Body, got)
			require.NoError(t, err)
			wantNoSocket(t, server)
			st := tr.Stats()
			assert.Zero(t, st.Open)
			assert.Zero(t, st.Bodies)
			assert.Empty(t, tr.OpenBodies())
			assert.EqualValues(t, 1, st.PeerFirst)
			if before <= 1 || https && before <= 20000 { // or the rest may have been read along: by crypto/tls that of a record, over http all
				assert.Positive(t, st.Absorbed)
			}
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, absorbBody, string(got)+string(rest))
			require.NoError(t, resp.Body.Close())
		}
	})
}

// A body of unknown length that ends with its connection, a chunked one cut short, and one that is decompressed: they end in
// memory as they would have ended on the wire.
func TestAbsorbedBodiesEndAsTheyWould(t *testing.T) {
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	_, err := io.CopyN(zw, rand.NewChaCha8([32]byte{}), 50000)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	for name, tt := range map[string]struct {
		raw  string
		n    int
		want error
	}{
		"until close": {"HTTP/1.1 200 OK\r\n\r\n" + absorbBody, 60000, nil},
		"cut":         {absorbHead + absorbBody[:40000], 40000, io.ErrUnexpectedEOF},
		"chunked":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n" + absorbBody[:40000] + "\r\n0\r\n\r\n", 40000, nil},
		"cut chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n" + absorbBody, 60000, io.ErrUnexpectedEOF},
		"gzip":        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + zipped.String(), 50000, nil},
	} {
		t.Run(name, func(t *testing.T) {
			plainAndTLS(t, func(t *testing.T, https bool) {
				server, tr := hangup(t, https, badserver.ReadRequest{}, badserver.Write(tt.raw), badserver.Close{})
				resp := mustGet(t, tr, server.URL)
				wantNoSocket(t, server)
				b, err := io.ReadAll(resp.Body)
				assert.Equal(t, tt.want, err)
				assert.Len(t, b, tt.n)
				require.NoError(t, resp.Body.Close())
			})
		})
	}
}

// After a reset the caller gets what had arrived, and then the error.
func TestAbsorbReset(t *testing.T) {
	arrived := make(chan struct{})
	server, tr := hangup(t, false, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody[:50000]), badserver.Wait(arrived), badserver.RST{})
	resp := mustGet(t, tr, server.URL)
	_, err := io.ReadFull(resp.Body, make([]byte, 10))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return socketsTo(t, server.URL)[0].Unread > 50000-8192 }, patience, tick, "arrived")
	close(arrived)
	wantNoSocket(t, server)
	b, err := io.ReadAll(resp.Body)
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	assert.Len(t, b, 50000-10)
}

// What is more than MaxAbsorbBytes stays in the kernel until there is room: all of it is read, in order, and the wait counted.
func TestAbsorbIsBounded(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		server, tr := hangup(t, https, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody), badserver.Close{})
		tr.MaxAbsorbBytes = 10000
		resp := mustGet(t, tr, server.URL)
		require.Eventually(t, func() bool { return tr.Stats().Exceeded == 1 }, patience, tick)
		assert.EqualValues(t, 10000, tr.Stats().Absorbed)
		assert.Equal(t, sockstat.Counts{sockstat.CloseWait: 1}, serverSockets(t, server))
		assert.Len(t, tr.OpenBodies(), 1)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, absorbBody, string(b))
		assert.EqualValues(t, 1, tr.Stats().Exceeded)
		wantNoSocket(t, server)
	})
}

// With a negative MaxAbsorbBytes nothing is absorbed, and the body is read as ever.
func TestAbsorbOff(t *testing.T) {
	server, tr := hangup(t, false, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody), badserver.Close{})
	tr.MaxAbsorbBytes = -1
	resp := mustGet(t, tr, server.URL)
	require.Eventually(t, func() bool { return tr.Stats().Exceeded == 1 }, patience, tick)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, absorbBody, string(b))
	assert.Zero(t, tr.Stats().Absorbed)
}

// A server that has said all it had to say may still listen: the socket stays until the request's body is sent.
func TestAbsorbWaitsForTheUpload(t *testing.T) {
	all := make(chan struct{})
	server, tr := hangup(t, false, badserver.ReadHead{}, badserver.Write(absorbHead+absorbBody), badserver.FIN{}, badserver.Read(len("6\r\nhello!\r\n0\r\n\r\n")), badserver.Signal(all), badserver.Stall{})
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return serverSockets(t, server)[sockstat.CloseWait] == 1 }, patience, tick)
	_, err = io.WriteString(w, "hello!")
	require.NoError(t, err)
	assert.Equal(t, sockstat.Counts{sockstat.CloseWait: 1}, serverSockets(t, server))
	require.NoError(t, w.Close())
	wantNoSocket(t, server)
	<-all
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, absorbBody, string(b))
}

// An absorbed body that its caller then drops is reported as such, once.
func TestAbsorbedAndDropped(t *testing.T) {
	server, tr := hangup(t, false, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody), badserver.Close{})
	leaks := make(chan transport.Leak, 2)
	tr.OnLeak = func(l transport.Leak) { leaks <- l }
	_ = mustGet(t, tr, server.URL)
	wantNoSocket(t, server)
	collect(t, "a report", func() bool { return len(leaks) == 1 })
	assert.Equal(t, transport.HungUp, (<-leaks).Cause)
}

// The end of the request's context ends an absorbed body too.
func TestAbsorbedAndCancelled(t *testing.T) {
	server, tr := hangup(t, false, badserver.ReadRequest{}, badserver.Write(absorbHead+absorbBody), badserver.Close{})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	wantNoSocket(t, server)
	enough := errors.New("enough")
	cancel(enough)
	require.Eventually(t, func() bool {
		_, err = resp.Body.Read(make([]byte, 1))
		return err != nil
	}, patience, tick)
	assert.Equal(t, enough, err)
}

var absorbRounds = flag.Int("absorb.rounds", 600, "rounds of TestAbsorbBesideReads")

// Reads of all sizes beside the hang-up, at random moments, neither lose nor double a byte.
func TestAbsorbBesideReads(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		s := newStory(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := strconv.Atoi(r.URL.Path[1:])
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, absorbBody[:n])
		}, https, false)
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(worker)))
				for range *absorbRounds / 8 {
					n := 9000 + rnd.IntN(50000)
					resp := s.get("/" + strconv.Itoa(n))
					var got bytes.Buffer
					for {
						if pause := rnd.IntN(4); pause == 0 {
							time.Sleep(time.Duration(rnd.IntN(200)) * time.Microsecond)
						}
						_, err := io.CopyN(&got, resp.Body, int64(1+rnd.IntN(20000)))
						if err == io.EOF {
							break
						}
						if !assert.NoError(s, err) {
							break
						}
					}
					assert.Equal(s, absorbBody[:n], got.String())
					assert.NoError(s, resp.Body.Close())
				}
			})
		}
		wg.Wait()
		assert.Positive(s, s.ours.Stats().Absorbed)
		s.eventually("no socket", func() bool { return len(sockets(s, s.server)) == 0 })
		assert.Zero(s, s.ours.Stats().Exceeded)
	})
}
