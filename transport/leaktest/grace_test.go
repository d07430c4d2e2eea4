package leaktest_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// What another goroutine finishes within the grace is no finding, and the check ends as soon as it has: in a bubble the time is
// exact, to the pause between two looks.
func TestGraceEndsWithTheReader(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		stop := make(chan struct{})
		require.NoError(t, readsOn(client, "http://a.example/10", stop))
		resp, err := client.Get("http://a.example/hang")
		require.NoError(t, err)
		go func() {
			_, _ = io.ReadFull(resp.Body, make([]byte, 20000))
			time.Sleep(300 * time.Millisecond) // between two Reads, and no Read in progress
			_ = resp.Body.Close()
		}()
		synctest.Wait()
		close(stop)
		began := time.Now()
		assert.NoError(t, leaktest.Find(client.Transport.(*transport.Transport)))
		assert.InDelta(t, 300, time.Since(began).Milliseconds(), 10)
		assert.Empty(t, finish())
	})
}

// A goroutine that was given a body has it, also before its first Read.
func TestGraceForWhoWillRead(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		resp, err := client.Get("http://a.example/10")
		require.NoError(t, err)
		go func() {
			time.Sleep(300 * time.Millisecond)
			_ = resp.Body.Close()
		}()
		assert.Empty(t, finish())
	})
}

// So has one that the test started beside the one that made the request, which has ended.
func TestGraceForAnothersResponse(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		responses := make(chan *http.Response)
		go func() {
			resp, err := client.Get("http://a.example/10")
			assert.NoError(t, err)
			responses <- resp
		}()
		go func() {
			resp := <-responses
			time.Sleep(300 * time.Millisecond)
			_ = resp.Body.Close()
		}()
		synctest.Wait()
		assert.Empty(t, finish())
	})
}

// So has a worker that neither the test nor who made the request has started, as one that serves a whole package.
func TestGraceForAWorkerOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		responses := make(chan *http.Response, 1)
		go func() {
			go func() {
				resp := <-responses
				time.Sleep(300 * time.Millisecond)
				_ = resp.Body.Close()
			}()
		}()
		synctest.Wait()
		resp, err := client.Get("http://a.example/10")
		require.NoError(t, err)
		responses <- resp
		assert.Empty(t, finish())
	})
}

// A goroutine that still runs has the body open; once it has ended, nobody can read it any more, and nothing is waited for but other
// goroutines that other tests have left.
func TestAReaderThatEndsLeaks(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		stop := make(chan struct{})
		resp, err := client.Get("http://a.example/hang")
		require.NoError(t, err)
		go func() {
			_, _ = io.ReadFull(resp.Body, make([]byte, 20000))
			<-stop
		}()
		synctest.Wait()
		err = leaktest.Find(client.Transport.(*transport.Transport))
		require.ErrorContains(t, err, "1 response body is still open")
		require.ErrorContains(t, err, "the goroutine that had it last still runs")
		close(stop)
		synctest.Wait()
		began := time.Now()
		err = leaktest.Find(client.Transport.(*transport.Transport))
		require.ErrorContains(t, err, "1 response body leaked")
		assert.LessOrEqual(t, time.Since(began), leaktest.Grace)
		assert.Contains(t, finish(), "1 response body leaked")
	})
}

// Grace may be none.
func TestNoGrace(t *testing.T) {
	defer func(was time.Duration) { leaktest.Grace = was }(leaktest.Grace)
	leaktest.Grace = 0
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		stop := make(chan struct{})
		require.NoError(t, readsOn(client, "http://a.example/hang", stop))
		synctest.Wait()
		began := time.Now()
		err := leaktest.Find(client.Transport.(*transport.Transport))
		require.ErrorContains(t, err, "still open: the goroutine that had it last still runs")
		assert.Zero(t, time.Since(began))
		leaktest.Grace = time.Second
		close(stop)
		assert.Contains(t, finish(), "still open")
		synctest.Wait()
	})
}

// A request that gets its response within the grace is no finding.
func TestARequestInFlight(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		go func() {
			client.Timeout = 200 * time.Millisecond
			_, err := client.Get("http://a.example/silent")
			assert.Error(t, err)
		}()
		synctest.Wait()
		assert.Empty(t, finish())
	})
}
