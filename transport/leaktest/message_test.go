package leaktest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is said, word for word. In a bubble ages are exact: nobody waited for anything where they are 0s.
func TestMessages(t *testing.T) {
	const server = "http://a.example"
	for name, program := range map[string]func(t *testing.T, client *http.Client){
		"detached":  func(_ *testing.T, client *http.Client) { neverClosed(client, server+"/10") },
		"streaming": func(t *testing.T, client *http.Client) { require.NoError(t, halfRead(client, server+"/100000?length")) },
		"chunked":   func(t *testing.T, client *http.Client) { require.NoError(t, halfRead(client, server+"/100000")) },
		"post": func(t *testing.T, client *http.Client) {
			line, err := buffered(client, server+"/10000?length")
			require.NoError(t, err)
			assert.Equal(t, "123456789\n", line)
		},
		"loop": func(_ *testing.T, client *http.Client) {
			inALoop(client, server+"/10", server+"/20", server+"/30")
			time.Sleep(1500 * time.Millisecond)
			neverClosed(client, server+"/40")
		},
		"mixed":     func(_ *testing.T, client *http.Client) { inALoop(client, server+"/100000?length", server+"/10") },
		"cancelled": func(t *testing.T, client *http.Client) { require.NoError(t, cancelled(client, server+"/hang")) },
		"redacted": func(_ *testing.T, client *http.Client) {
			neverClosed(client, "http://me:secret@a.example/10?token=secret#secret")
		},
		"read-on": func(t *testing.T, client *http.Client) {
			require.NoError(t, readsOn(client, server+"/hang", t.Context().Done()))
			synctest.Wait()
		},
		"go-statement": func(_ *testing.T, client *http.Client) {
			inTheBackground(client, server+"/100000?length")
			synctest.Wait()
		},
		"in-flight": func(*testing.T, *http.Client) {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
				program(t, client)
				if name == "in-flight" {
					go neverClosed(client, server+"/silent")
					synctest.Wait()
				}
				began := time.Now()
				report := finish()
				golden(t, name, report)
				waited := time.Since(began)
				if name == "in-flight" || name == "read-on" {
					assert.GreaterOrEqual(t, waited, time.Second)
				} else {
					assert.LessOrEqual(t, waited, 100*time.Millisecond, "the check waited")
				}
				synctest.Wait()
			})
		})
	}
}

// Of very many leaks the most recent are shown.
func TestManyPlaces(t *testing.T) {
	bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
		at := neverClosed
		for range 25 {
			inner := at
			at = func(client *http.Client, url string) { inner(client, url) }
			at(client, "http://a.example/10")
		}
		report := finish()
		assert.True(t, strings.HasPrefix(report, "leaktest: 25 response bodies leaked\n\n5 earlier places are not shown\n\n"), report)
		assert.Equal(t, 20, strings.Count(report, "GET "))
		assert.LessOrEqual(t, strings.Count(report, "\n"), 20*9+2)
	})
}

// A report is the same each time, but for the ages.
func TestReportsAreStable(t *testing.T) {
	reports := map[string]bool{}
	for range 5 {
		bubble(t, func(t *testing.T, client *http.Client, finish func() string) {
			for i := range 10 {
				inALoop(client, fmt.Sprintf("http://a.example/%d0", i+1), "http://a.example/hang")
			}
			assert.NoError(t, halfRead(client, "http://a.example/100000"))
			reports[finish()] = true
		})
	}
	assert.Len(t, reports, 1)
}
