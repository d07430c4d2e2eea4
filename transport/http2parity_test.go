package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A parity is what a server of HTTP/2 answers to each request, and how it is asked.
type parity struct {
	name   string
	method string // GET if ""
	body   io.Reader
	header http.Header
	answer func(f *badserver.Frames, stream uint32) error
	set    setting
}

// tell makes the request, and tells what came of it.
func (p parity) tell(t *testing.T, std bool) string {
	all := func(f *badserver.Frames) error {
		for {
			stream, err := f.AwaitRequest()
			if err == nil {
				err = p.answer(f, stream)
			}
			if err != nil {
				return err
			}
		}
	}
	server := badserver.Start(t, speaks(all))
	base := &http.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2)}
	defer base.CloseIdleConnections()
	if p.set != nil {
		p.set(base)
	}
	var rt http.RoundTripper = base
	if !std {
		own := transport.From(base)
		defer func() {
			require.Eventually(t, func() bool { st := own.Stats(); return st.Leased == 0 && st.Bodies == 0 }, patience, tick)
			assert.NoError(t, own.Close())
		}()
		rt = own
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, p.method, server.URL, p.body)
	require.NoError(t, err)
	for name, values := range p.header {
		req.Header[name] = values
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return plain(err, server)
	}
	b, err := io.ReadAll(resp.Body)
	assert.NoError(t, resp.Body.Close())
	return fmt.Sprintf("%s, %d, %v, %q, %s, %v, %v, dials: %d", resp.Status, resp.ContentLength, resp.Header, b, plain(err, server), resp.Trailer,
		resp.Uncompressed, server.Accepted())
}

// plain returns an error's text without what we add.
func plain(err error, server *badserver.Server) string {
	if err == nil {
		return "no error"
	}
	var ee *transport.ExchangeError
	if errors.As(err, &ee) {
		err = ee.Err
	}
	return strings.ReplaceAll(err.Error(), server.URL, "server")
}

// What comes of odd answers over HTTP/2 is what comes of them with net/http.
func TestHTTP2Parity(t *testing.T) {
	ends := func(fields ...string) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error { return f.Head(stream, true, fields...) }
	}
	with := func(data string, fields ...string) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.Head(stream, false, fields...), f.WriteData(stream, true, []byte(data)))
		}
	}
	then := func(answer func(*badserver.Frames, uint32) error, code http2.ErrCode) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error {
			return f.Together(func() error { return errors.Join(answer(f, stream), f.WriteRSTStream(stream, code)) })
		}
	}
	resets := func(code http2.ErrCode) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error { return f.WriteRSTStream(stream, code) }
	}
	trailers := func(end bool, fields ...string) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.Head(stream, false, ":status", "200", "trailer", "a, never"), f.WriteData(stream, false, []byte("bye")), f.Head(stream, end, fields...))
		}
	}
	informs := func(n int, last func(*badserver.Frames, uint32) error, fields ...string) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, stream uint32) error {
			var err error
			for range n {
				err = errors.Join(err, f.Head(stream, false, fields...))
			}
			return errors.Join(err, last(f, stream))
		}
	}
	ok := ends(":status", "200")
	for _, p := range []parity{
		{name: "a reset behind an answer, during an upload", method: "POST", body: endless{}, answer: then(with("bye", ":status", "200"), http2.ErrCodeNo)},
		{name: "a reset behind a refusal, during an upload", method: "POST", body: endless{}, answer: then(ends(":status", "413"), http2.ErrCodeNo)},
		{name: "a refusal, during an upload", method: "POST", body: endless{}, answer: ends(":status", "413")},
		{name: "a reset behind a head", answer: then(func(f *badserver.Frames, stream uint32) error { return f.Head(stream, false, ":status", "200") }, http2.ErrCodeInternal)},
		{name: "a reset", answer: resets(http2.ErrCodeCancel)},
		{name: "a reset without an error", answer: resets(http2.ErrCodeNo)},
		{name: "a reset for HTTP/1.1", answer: resets(http2.ErrCodeHTTP11Required)},
		{name: "HEAD", method: "HEAD", answer: ends(":status", "200", "content-length", "3")},
		{name: "HEAD, with an empty body", method: "HEAD", answer: with("", ":status", "200", "content-length", "3")},
		{name: "HEAD, with a body", method: "HEAD", answer: with("bye", ":status", "200", "content-length", "3")},
		{name: "204, with a body", answer: with("bye", ":status", "204")},
		{name: "304, with a length", answer: ends(":status", "304", "content-length", "5")},
		{name: "a longer body than announced", answer: with("bye", ":status", "200", "content-length", "2")},
		{name: "a shorter body than announced", answer: with("bye", ":status", "200", "content-length", "5")},
		{name: "a much shorter body than announced", answer: with("bye", ":status", "200", "content-length", "50000")},
		{name: "no body, and one announced", answer: ends(":status", "200", "content-length", "5")},
		{name: "a body, and none announced", answer: with("bye", ":status", "200", "content-length", "0")},
		{name: "trailers, announced and not", answer: trailers(true, "a", "b", "c", "d")},
		{name: "trailers that go on", answer: trailers(false, "a", "b")},
		{name: "trailers with a status", answer: trailers(true, ":status", "200")},
		{name: "informational responses", answer: informs(10, ok, ":status", "103", "link", "a")},
		{name: "a flood of them", answer: informs(1000, ok, ":status", "103", "link", strings.Repeat("a", 100)), set: func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 10000 }},
		{name: "101", answer: informs(1, ok, ":status", "101")},
		{name: "an informational response that ends", answer: ends(":status", "103")},
		{name: "no status", answer: ends("a", "b")},
		{name: "a status that is none", answer: ends(":status", "abc")},
		{name: "a field in capitals", answer: ends(":status", "200", "Aa", "b")},
		{name: "gzip that is cut off", answer: with("\x1f\x8b\x08\x00\x00", ":status", "200", "content-encoding", "gzip")},
		{name: "gzip of nothing", answer: with("", ":status", "200", "content-encoding", "gzip")},
		{name: "gzip without a body", answer: ends(":status", "200", "content-encoding", "gzip")},
		{name: "Expect, refused", method: "POST", body: endless{}, header: http.Header{"Expect": {"100-continue"}}, answer: ends(":status", "417"),
			set: func(tr *http.Transport) { tr.ExpectContinueTimeout = 50 * time.Millisecond }},
		{name: "a head of 300 KB", header: http.Header{"Large": {strings.Repeat("x", 300000)}}, answer: ok},
		{name: "Connection", header: http.Header{"Connection": {"close"}}, answer: ok},
	} {
		t.Run(p.name, func(t *testing.T) {
			std := p.tell(t, true)
			assert.Equal(t, std, p.tell(t, false))
		})
	}
}
