package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// atOnce sends so many requests at once, several times over, and reads the answers.
func (s *story) atOnce(n, times int, path string) {
	s.Helper()
	for range times {
		var arrived, wg sync.WaitGroup
		arrived.Add(n)
		for range n {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.server.URL+path, nil)
				if err != nil {
					panic(err)
				}
				resp, err := s.rt.RoundTrip(req)
				arrived.Done()
				if !assert.NoError(s, err) {
					return
				}
				arrived.Wait()
				_, err = io.Copy(io.Discard, resp.Body)
				assert.NoError(s, err)
				assert.NoError(s, resp.Body.Close())
			})
		}
		wg.Wait()
	}
}

// wantFinding wants one finding, about a field, whose text has all of these.
func (s *story) wantFinding(field string, texts ...string) transport.Finding {
	s.Helper()
	found := s.ours.Diagnose()
	require.Len(s, found, 1, "%+v\n%+v", found, s.ours.Stats())
	assert.Equal(s, field, found[0].Field)
	assert.Equal(s, s.server.URL, found[0].Origin)
	for _, text := range texts {
		assert.Contains(s, found[0].Text, text)
	}
	return found[0]
}

// Of a Transport that does well nothing is said: with many requests at once, with bodies closed early, after a pause and a Close.
func TestDiagnoseHealthy(t *testing.T) {
	ours(t, sized, func(s *story) {
		assert.Empty(s, s.ours.Diagnose())
		s.atOnce(20, 5, "/100000")
		for range 30 {
			require.NoError(s, s.get("/20000").Body.Close())
			s.read(s.get("/10"))
		}
		assert.Empty(s, s.ours.Diagnose())
		for i := range 150 {
			if i%25 == 0 { // seldom
				s.rt.CloseIdleConnections()
			}
			s.read(s.get("/10"))
		}
		assert.Empty(s, s.ours.Diagnose())
		require.NoError(s, s.ours.Close())
		assert.Empty(s, s.ours.Diagnose())
	})
}

// The bound on idle connections is below what runs at once: what makes http.DefaultTransport dial all the time.
func TestDiagnoseEviction(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.atOnce(20, 5, "/100000")
		f := s.wantFinding("MaxIdleConnsPerHost", " of 100 requests dialed", `have the reason "evicted"`, "MaxIdleConnsPerHost is 2 and up to 20 requests ran at once")
		assert.EqualValues(s, 100, f.Figures["requests"])
		assert.EqualValues(s, 20, f.Figures["peak"])
		assert.GreaterOrEqual(s, f.Figures["dials"], int64(90))
		assert.Equal(s, s.ours.Stats().Closes[pool.Evicted], f.Figures["closes: evicted"])
	}, func(t *http.Transport) { t.MaxIdleConnsPerHost = 2 })
	ours1(t, sized, func(s *story) {
		s.atOnce(20, 5, "/100000")
		s.wantFinding("MaxIdleConns", "MaxIdleConns is 3 for all hosts together, and up to 20 requests ran at once")
	}, func(t *http.Transport) { t.MaxIdleConns = 3 })
	ours1(t, sized, func(s *story) {
		s.atOnce(2, 15, "/10")
		s.wantFinding("MaxIdleConnsPerHost", "no connection is kept")
	}, func(t *http.Transport) { t.MaxIdleConnsPerHost = -1 })
}

// Connections end by the settings, by the server's word, by calls of the program.
func TestDiagnoseChurn(t *testing.T) {
	for _, tt := range []struct {
		name, field, text string
		set               func(*transport.Transport)
		after             func(s *story) // each request
	}{
		{"idle timeout", "IdleConnTimeout", "IdleConnTimeout is 1ms", func(t *transport.Transport) { t.IdleConnTimeout = time.Millisecond }, (*story).awaitNoConn},
		{"lifetime", "MaxConnLifetime", "MaxConnLifetime is 1ms", func(t *transport.Transport) { t.MaxConnLifetime = time.Millisecond }, (*story).awaitNoConn},
		{"keep-alive off", "DisableKeepAlives", "DisableKeepAlives is true", func(t *transport.Transport) { t.DisableKeepAlives = true }, nil},
		{"closed by the program", "", "calls CloseIdleConnections", nil, func(s *story) { s.rt.CloseIdleConnections() }},
		{"closed by the server", "", "ends connections before the next request comes", nil, func(s *story) { s.server.CloseClientConnections(); s.awaitNoConn() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours1(t, sized, func(s *story) {
				if tt.set != nil {
					tt.set(s.ours)
				}
				for range 20 {
					s.read(s.get("/10"))
					if tt.after != nil {
						tt.after(s)
					}
				}
				s.wantFinding(tt.field, "20 of 20 requests dialed", tt.text)
			})
		})
	}
}

func (s *story) awaitNoConn() {
	s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
}

// Where somebody of TLSNextProto speaks on the connections it is the pool that keeps none, and DisableKeepAlives by which it does so.
func TestDiagnoseKeepAliveOffWithTLSNextProto(t *testing.T) {
	var calls atomic.Int64
	var authority atomic.Value
	s := http2Story(t, sized, false, speaksHTTP2(&calls, &authority), func(tr *http.Transport) { tr.DisableKeepAlives = true })
	for range 20 {
		s.read(s.get("/10"))
	}
	s.awaitNoConn()
	require.EqualValues(t, 20, calls.Load())
	s.wantFinding("DisableKeepAlives", "20 of 20 requests dialed", "DisableKeepAlives is true")
}

// The server says Connection: close.
func TestDiagnoseConnectionClose(t *testing.T) {
	ours1(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, func(s *story) {
		for range 20 {
			s.read(s.get("/"))
		}
		s.wantFinding("", "Connection: close")
	})
}

// Bodies are closed unread, and more is left than is drained.
func TestDiagnoseUnread(t *testing.T) {
	ours1(t, sized, func(s *story) {
		for range 20 {
			require.NoError(s, s.get("/10000000").Body.Close())
		}
		s.wantFinding("MaxDrainBytes", "MaxDrainBytes is 262,144, DrainTimeout is 50ms")
	})
}

// The server answers requests whose bodies have yet to be sent.
func TestDiagnoseUnfinished(t *testing.T) {
	ours1(t, func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).EnableFullDuplex() }, func(s *story) {
		for range 20 {
			body, w := io.Pipe()
			s.read(s.send(s.request(http.MethodPost, "/", body)))
			require.NoError(s, w.Close())
		}
		s.wantFinding("", `"request unfinished"`, "whose request bodies have yet to be sent")
	})
}

// Requests time out and cost their connections.
func TestDiagnoseCancelled(t *testing.T) {
	ours1(t, hang, func(s *story) {
		for range 20 {
			ctx, cancel := context.WithCancel(s.Context())
			resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/body", nil).WithContext(ctx))
			require.NoError(s, err)
			cancel()
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(s, err, context.Canceled)
		}
		s.wantFinding("SalvageTimeout", "20 of 20 requests dialed", "SalvageTimeout would keep")
	})
}

// Requests queue for few connections; some give up.
func TestDiagnoseQueueing(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.ours.AcquireTimeout = 10 * time.Millisecond
		for range 30 {
			s.read(s.get("/10"))
		}
		assert.Empty(s, s.ours.Diagnose())
		resp := s.get("/1000000")
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		require.ErrorIs(s, err, context.DeadlineExceeded)
		require.NoError(s, resp.Body.Close())
		s.wantFinding("MaxConnsPerHost", "1 request waited for a connection: MaxConnsPerHost is 1; ", "AcquireTimeout (10ms) ended 1 wait")
	}, func(t *http.Transport) { t.MaxConnsPerHost = 1 })
}

// A leak is a finding from the first on, and where it happened is in the log with RecordStacks.
func TestDiagnoseLeaks(t *testing.T) {
	for _, stacks := range []bool{false, true} {
		ours(t, sized, func(s *story) {
			s.ours.Logger, s.ours.RecordStacks = discardLogger, stacks
			_ = s.get("/1000000")
			s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == 1 })
			f := s.wantFinding(map[bool]string{false: "RecordStacks"}[stacks], "1 response body was neither closed nor read to its end: 1 dropped")
			assert.Equal(s, map[string]int64{"leaks: dropped": 1}, f.Figures)
		})
	}
}

// A leak comes before whatever happens more often.
func TestDiagnoseOrder(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.ours.Logger = discardLogger
		s.atOnce(20, 5, "/100000")
		_ = s.get("/1000000")
		s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == 1 })
		found := s.ours.Diagnose()
		require.Len(s, found, 2)
		assert.Equal(s, "RecordStacks", found[0].Field)
		assert.Equal(s, "MaxIdleConnsPerHost", found[1].Field)
	}, func(t *http.Transport) { t.MaxIdleConnsPerHost = 2 })
}

// Nobody answers.
func TestDiagnoseDialErrors(t *testing.T) {
	tr := &transport.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }}
	defer tr.Close()
	for range 5 {
		_, err := (&http.Client{Transport: tr}).Get("http://nowhere.example")
		require.Error(t, err)
	}
	require.Len(t, tr.Diagnose(), 1)
	assert.Equal(t, transport.Finding{
		Origin: "http://nowhere.example", Text: "5 of 5 dials failed",
		Figures: map[string]int64{"dials": 0, "dial_errors": 5},
	}, tr.Diagnose()[0])
}

// A server hangs up and leaves more than may be absorbed.
func TestDiagnoseOverflow(t *testing.T) {
	unlessOnWindows(t, nothingWatches)
	server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("a", 100000)), badserver.FIN{}})
	tr := &transport.Transport{MaxAbsorbBytes: 1000}
	defer tr.Close()
	resp := mustGet(t, tr, server.URL)
	defer resp.Body.Close()
	require.Eventually(t, func() bool { return len(tr.Diagnose()) == 1 }, patience, tick)
	assert.Equal(t, "MaxAbsorbBytes", tr.Diagnose()[0].Field)
	assert.Contains(t, tr.Diagnose()[0].Text, "behind 1 open body with more left than MaxAbsorbBytes (1,000)")
}

// A server ends connections as requests come on them.
func TestDiagnoseRetries(t *testing.T) {
	twice := badserver.Script{
		badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), badserver.ReadRequest{}, badserver.FIN{},
	}
	server := badserver.Start(t, twice)
	tr := &transport.Transport{IdleConnTimeout: time.Minute}
	defer tr.Close()
	for range 20 {
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	}
	var fields []string
	for _, f := range tr.Diagnose() {
		fields = append(fields, f.Field)
	}
	assert.Contains(t, fields, "IdleConnTimeout", "%+v", tr.Diagnose())
}
