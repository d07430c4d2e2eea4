package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// leaksOf collects the reports of a transport that was not used yet.
func leaksOf(tr *transport.Transport) <-chan transport.Leak {
	leaks := make(chan transport.Leak, 100)
	tr.OnLeak = func(l transport.Leak) { leaks <- l }
	return leaks
}

// With a LeakTimeout a body that is kept and not read is taken back after it, reported once, and a late Read says what happened
// and which field it was.
func TestLeakTimeout(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.LeakTimeout = time.Minute
		leaks := leaksOf(tr)
		resp := mustGet(t, tr, "http://a.example/1000000?secret=1")
		time.Sleep(59 * time.Second)
		assert.Len(t, tr.OpenBodies(), 1)
		time.Sleep(2 * time.Second)
		assert.Empty(t, tr.OpenBodies())
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonLeaked])
		l := <-leaks
		assert.Equal(t, transport.Forgotten, l.Cause)

		_, err := resp.Body.Read(make([]byte, 1))
		var re *transport.ReclaimedError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, time.Minute, re.Unread.Truncate(time.Minute))
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		assert.Contains(t, err.Error(), "LeakTimeout is 1m0s")
		assert.NotContains(t, err.Error(), "secret")
		require.NoError(t, resp.Body.Close())
		time.Sleep(time.Hour)
		assert.Empty(t, leaks)
	})
}

// Only time without a Read counts: a stream that is silent for an hour under a blocked Read, one that is read now and then, and
// one that io.Copy writes to somebody slow live on.
func TestLeakTimeoutSparesReaders(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-time.After(time.Hour):
			_, _ = io.WriteString(w, "at last")
		case <-r.Context().Done():
		}
	}
	bubble(t, silent, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.LeakTimeout = time.Minute
		leaks := leaksOf(tr)
		resp := mustGet(t, tr, "http://a.example/")
		time.AfterFunc(30*time.Minute, func() { assert.False(t, tr.SweepPending(), "it would hide a deadlock from synctest") })
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "at last", string(b))
		assert.Empty(t, leaks)
	})
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.LeakTimeout = time.Minute
		leaks := leaksOf(tr)
		resp := mustGet(t, tr, "http://a.example/1000000")
		for range 20 {
			time.Sleep(55 * time.Second)
			_, err := io.ReadFull(resp.Body, make([]byte, 1000))
			require.NoError(t, err)
		}
		n, err := io.Copy(slowWriter{}, resp.Body)
		require.NoError(t, err)
		assert.EqualValues(t, 1000000-20*1000, n)
		assert.Empty(t, leaks)
	})
}

// Who still sends the request's body, however slowly, and reads the response after that, has not forgotten it; who stops sending has.
func TestLeakTimeoutSparesUploads(t *testing.T) {
	early := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}
	slowly := func(t *testing.T, tr *transport.Transport) {
		leaks := leaksOf(tr)
		body, feed := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", body)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		for range 60 {
			time.Sleep(50 * time.Second)
			_, err := io.WriteString(feed, "x")
			require.NoError(t, err)
		}
		assert.Empty(t, leaks)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		assert.Len(t, leaks, 1)
		_ = feed.Close()
		b, err := io.ReadAll(resp.Body)
		if tr.LeakTimeout == 0 {
			require.NoError(t, err)
			assert.Len(t, b, 60)
		} else {
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		}
		require.NoError(t, resp.Body.Close())
	}
	for _, timeout := range []time.Duration{0, time.Minute} {
		for _, speaks := range []func(*http.Protocols, bool){(*http.Protocols).SetHTTP1, (*http.Protocols).SetUnencryptedHTTP2} {
			synctest.Test(t, func(t *testing.T) {
				var n memnet.Network
				l, err := n.Listen("a.example:80")
				require.NoError(t, err)
				server := &http.Server{Handler: http.HandlerFunc(early), Protocols: speaking(speaks)}
				go func() { _ = server.Serve(l) }()
				tr := &transport.Transport{DialContext: n.DialContext, Protocols: speaking(speaks), LeakTimeout: timeout}
				slowly(t, tr)
				require.NoError(t, tr.Close())
				require.NoError(t, server.Close())
			})
		}
	}
}

// A slowWriter takes ten minutes for each Write.
type slowWriter struct{}

func (slowWriter) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Minute)
	return len(p), nil
}

// Without a LeakTimeout a forgotten body is reported after 5 minutes, once, and stays readable; with a negative one it is not
// even reported.
func TestForgottenIsReportedByDefault(t *testing.T) {
	for _, timeout := range []time.Duration{0, -1} {
		bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
			tr.LeakTimeout = timeout
			leaks := leaksOf(tr)
			resp := mustGet(t, tr, "http://a.example/1000000")
			time.Sleep(time.Hour)
			if timeout == 0 {
				require.Len(t, leaks, 1)
				assert.Equal(t, transport.Forgotten, (<-leaks).Cause)
			}
			assert.Empty(t, leaks)
			assert.Len(t, tr.OpenBodies(), 1)
			assert.False(t, tr.SweepPending())
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Len(t, b, 1000000)
		})
	}
}

// A request that waits under MaxConnsPerHost gets the connection of the body that was forgotten longest, and of one only; where
// a LeakTimeout is negative it waits.
func TestForgottenGivesWay(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.MaxConnsPerHost = 3
		leaks := leaksOf(tr)
		var kept []*http.Response
		for i := range 3 {
			kept = append(kept, mustGet(t, tr, "http://a.example/1000000?"+strconv.Itoa(i)))
			time.Sleep(time.Minute)
		}
		_, err := io.ReadFull(kept[0].Body, make([]byte, 10)) // now kept[1] is the one
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		require.Len(t, leaks, 3)
		start := time.Now()
		resp := mustGet(t, tr, "http://a.example/10")
		assert.Less(t, time.Since(start), time.Second)
		assert.Equal(t, 200, resp.StatusCode)
		_, err = kept[1].Body.Read(make([]byte, 10))
		var re *transport.ReclaimedError
		require.ErrorAs(t, err, &re)
		assert.Contains(t, err.Error(), "negative LeakTimeout")
		for _, i := range []int{0, 2} {
			_, err := io.Copy(io.Discard, kept[i].Body)
			assert.NoError(t, err)
		}
		require.Len(t, leaks, 3, "reported once")
	})
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.MaxConnsPerHost, tr.LeakTimeout = 1, -1
		resp := mustGet(t, tr, "http://a.example/1000000")
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/10", nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, resp.Body.Close())
	})
}

// Bodies that are opened and closed all the time leave no timer behind and no report.
func TestClosedBodiesAreNotForgotten(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.LeakTimeout = time.Second
		leaks := leaksOf(tr)
		for range 100 {
			resp := mustGet(t, tr, "http://a.example/100000")
			time.Sleep(100 * time.Millisecond)
			_, err := io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		assert.Empty(t, leaks)
		assert.EqualValues(t, 1, tr.Stats().Dials)
	})
}

// Where one request waits for a dial and one for the limit, only one forgotten body gives way.
func TestDialsDoNotStarve(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.MaxConnsPerHost = 3
		var slow atomic.Bool
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if slow.Load() {
				time.Sleep(5 * time.Second)
			}
			return dial(ctx, network, addr)
		}
		kept := []*http.Response{mustGet(t, tr, "http://a.example/1000000"), mustGet(t, tr, "http://a.example/1000000")}
		time.Sleep(10 * time.Minute)
		slow.Store(true)
		done := make(chan error)
		for range 2 {
			go func() {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/500000", nil)
				resp, err := tr.RoundTrip(req)
				if err == nil {
					time.Sleep(20 * time.Second)
					_, err = io.Copy(io.Discard, resp.Body)
				}
				done <- err
			}()
		}
		assert.NoError(t, <-done)
		assert.NoError(t, <-done)
		var taken int
		for _, resp := range kept {
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				taken++
			}
		}
		assert.Equal(t, 1, taken)
	})
}

// A LeakTimeout that passes before RoundTrip has returned, however short, finds no body that is half set up: its end is that of any
// other.
func TestLeakTimeoutDuringRoundTrip(t *testing.T) {
	begun := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	ours(t, begun, func(s *story) {
		s.ours.LeakTimeout = time.Microsecond
		leaks := leaksOf(s.ours)
		for range 200 {
			resp := s.get("/")
			l := <-leaks
			assert.Equal(s, transport.Forgotten, l.Cause)
			_, err := io.ReadAll(resp.Body)
			var re *transport.ReclaimedError
			require.ErrorAs(s, err, &re)
			require.NoError(s, resp.Body.Close())
		}
		s.eventually("nothing held", func() bool { st := s.ours.Stats(); return st.Leased == 0 && st.Bodies == 0 })
	})
}
