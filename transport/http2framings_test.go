//go:build linux

package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A framing2 is a response over HTTP/2 that breaks a rule, or bends one.
type framing2 struct {
	name, rule string
	say        func(f *badserver.Frames, stream uint32) error
	refused    string // what the error says; "": the response is read, and is hello
	std        string // the result of net/http's where it is another
	empty      bool   // it is nothing
	connection bool   // the connection ends, and not the stream alone
}

func (f framing2) result() string {
	if f.refused != "" {
		return "refused"
	}
	return "read"
}

const (
	status2, smuggled = ":status", "evil"
	keeps             = "read, and kept" // where we drop the field
)

// head2 says hello behind a head, fields as names and values in turn.
func head2(fields ...string) func(*badserver.Frames, uint32) error {
	return func(f *badserver.Frames, s uint32) error {
		return f.Together(func() error {
			return errors.Join(f.Head(s, false, fields...), f.WriteData(s, true, []byte("hello")))
		})
	}
}

// trailer2 ends a response with a trailer section.
func trailer2(end bool, fields ...string) func(*badserver.Frames, uint32) error {
	return func(f *badserver.Frames, s uint32) error {
		return f.Together(func() error {
			return errors.Join(f.Head(s, false, status2, "200"), f.WriteData(s, false, []byte("hello")), f.Head(s, end, fields...))
		})
	}
}

// before2 says something and then a whole response.
func before2(first func(*badserver.Frames, uint32) error) func(*badserver.Frames, uint32) error {
	return func(f *badserver.Frames, s uint32) error {
		return f.Together(func() error { return errors.Join(first(f, s), head2(status2, "200")(f, s)) })
	}
}

func framings2() []framing2 {
	const malformed, fields, pseudo = "RFC 9113 8.1.1", "RFC 9113 8.2.1", "RFC 9113 8.3"
	head := func(end bool, fields ...string) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, s uint32) error { return f.Head(s, end, fields...) }
	}
	all := []framing2{
		{name: "a length", rule: malformed, say: head2(status2, "200", "content-length", "5")},
		{name: "a length, and less", rule: malformed, say: head2(status2, "200", "content-length", "6"), refused: "unexpected EOF"},
		{name: "a length, and more", rule: malformed, say: head2(status2, "200", "content-length", "4"), refused: "Content-Length"},
		{name: "a length, and END_STREAM", rule: malformed, say: head(true, status2, "200", "content-length", "5"), refused: "unexpected EOF"},
		{name: "two lengths that differ, which are dropped", rule: malformed, say: head2(status2, "200", "content-length", "5", "content-length", "6"), std: keeps},
		{name: "a signed length, which is dropped", rule: malformed, say: head2(status2, "200", "content-length", "+5"), std: keeps},
		{name: "a length in a trailer section, which is dropped", rule: "RFC 9110 6.5.1", say: trailer2(true, "content-length", "3", "transfer-encoding", smuggled), std: keeps},
		{name: "a length, and another in a trailer section, which is dropped", rule: "RFC 9110 6.5.1", std: keeps, say: func(f *badserver.Frames, s uint32) error {
			return f.Together(func() error {
				return errors.Join(f.Head(s, false, status2, "200", "content-length", "5"), f.WriteData(s, false, []byte("hello")), f.Head(s, true, "content-length", "3"))
			})
		}},
		{name: "no body, and a length in a trailer section, which is dropped", rule: "RFC 9110 6.5.1", std: keeps, empty: true, say: func(f *badserver.Frames, s uint32) error {
			return f.Together(func() error {
				return errors.Join(f.Head(s, false, status2, "200", "content-length", "0"), f.Head(s, true, "content-length", "3"))
			})
		}},
		{name: "a name in upper case", rule: fields, say: head2(status2, "200", "Content-Length", "5"), refused: "PROTOCOL_ERROR"},
		{name: "no name", rule: fields, say: head2(status2, "200", "", "x"), refused: "PROTOCOL_ERROR"},
		{name: "no :status", rule: pseudo + ".2", say: head2("a", "b"), refused: "status"},
		{name: "an empty :status", rule: pseudo + ".2", say: head2(status2, ""), refused: "status"},
		{name: "two :status", rule: pseudo, say: head2(status2, "200", status2, "200"), refused: "PROTOCOL_ERROR"},
		{name: "a :status behind a field", rule: pseudo, say: head2("a", "b", status2, "200"), refused: "PROTOCOL_ERROR"},
		{name: "an unknown pseudo-field", rule: pseudo, say: head2(status2, "200", ":unknown", smuggled), refused: "PROTOCOL_ERROR"},
		{name: "a pseudo-field of requests", rule: pseudo, say: head2(status2, "200", ":path", "/"), refused: "PROTOCOL_ERROR"},
		{name: "a pseudo-field in a trailer section", rule: "RFC 9113 8.1", say: trailer2(true, status2, "200"), refused: "PROTOCOL_ERROR", connection: true},
		{name: "a trailer section without END_STREAM", rule: "RFC 9113 8.1", say: trailer2(false, "a", "b"), refused: "PROTOCOL_ERROR", connection: true},
		{name: "101, which is passed over", rule: "RFC 9113 8.6", say: before2(head(false, status2, "101"))},
		{name: "103 with END_STREAM", rule: "RFC 9113 8.1", say: head(true, status2, "103"), refused: "END_STREAM"},
		{name: "DATA before HEADERS", rule: "RFC 9113 8.1", say: before2(func(f *badserver.Frames, s uint32) error { return f.WriteData(s, false, []byte(smuggled)) }), refused: "PROTOCOL_ERROR"},
		{name: "HEADERS and DATA behind the end, which are passed over", rule: "RFC 9113 5.1", say: func(f *badserver.Frames, s uint32) error {
			err := head2(status2, "200")(f, s)
			if err != nil {
				return err
			}
			next, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			return f.Together(func() error {
				return errors.Join(f.Head(s, false, status2, "200"), f.WriteData(s, true, []byte(smuggled)), f.Head(next, true, status2, "204"))
			})
		}},
	}
	for _, status := range []string{"+200", "0200", "20", "2000", "099", "-200"} {
		all = append(all, framing2{name: "a :status of " + status, rule: "RFC 9110 15", say: head2(status2, status), refused: "status code", std: "read"})
	}
	for _, name := range []string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"} {
		all = append(all, framing2{name: name + ", which is dropped", rule: "RFC 9113 8.2.2", say: head2(status2, "200", name, "chunked"), std: keeps})
	}
	for _, c := range []struct{ name, is string }{{"CR", "\r"}, {"LF", "\n"}, {"NUL", "\x00"}} {
		all = append(all,
			framing2{name: c.name + " in a value", rule: fields, say: head2(status2, "200", "a", "b"+c.is+smuggled), refused: "PROTOCOL_ERROR"},
			framing2{name: c.name + " in a name", rule: fields, say: head2(status2, "200", "a"+c.is+"b", "c"), refused: "PROTOCOL_ERROR"})
	}
	return append(all,
		framing2{name: "a space in a name", rule: fields, say: head2(status2, "200", "a b", "c"), refused: "PROTOCOL_ERROR"},
		framing2{name: "a colon in a name", rule: fields, say: head2(status2, "200", "a:b", "c"), refused: "PROTOCOL_ERROR"})
}

// TestHTTP2Framings has a server send every response of the corpus over HTTP/2. It is read or refused as the row says, here and by net/http;
// of its fields none is left that another protocol would take for framing; and where only its stream ends, its connection serves on.
func TestHTTP2Framings(t *testing.T) {
	for _, row := range framings2() {
		for _, std := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, net/http: %v", row.name, std), func(t *testing.T) {
				server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
					s, err := f.AwaitRequest()
					if err == nil {
						err = row.say(f, s)
					}
					if err != nil {
						return err
					}
					return answers(0, nil)(f)
				}), speaks(answers(0, nil)))
				var rt roundTripper = cleartext(t)
				if std {
					rt = &http.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2)}
					defer rt.CloseIdleConnections()
				}
				row.play(t, rt, server, std)
			})
		}
	}
}

func (f framing2) play(t *testing.T, rt roundTripper, server *badserver.Server, std bool) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	require.NoError(t, err)
	resp, err := rt.RoundTrip(req)
	var got []byte
	if err == nil {
		got, err = io.ReadAll(resp.Body)
		assert.NoError(t, resp.Body.Close())
	}
	if f.refused == "" || std && f.std != "" {
		require.NoError(t, err)
		assert.Equal(t, map[bool]string{false: "hello", true: ""}[f.empty], string(got))
		left := len(resp.Trailer)
		if resp.ContentLength < 0 {
			left += len(resp.Header["Content-Length"])
		}
		for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
			left += len(resp.Header[name])
		}
		if !std || f.std != keeps {
			assert.Zero(t, left, "%v %v", resp.Header, resp.Trailer)
		}
	} else {
		require.ErrorContains(t, err, f.refused)
		assert.NotContains(t, err.Error(), smuggled)
	}
	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	require.NoError(t, err)
	resp, err = rt.RoundTrip(req)
	require.NoError(t, err)
	assert.NoError(t, resp.Body.Close())
	if !std { // whose next request may come before it knows that the stream has ended
		assert.Equal(t, map[bool]int{false: 1, true: 2}[f.connection], server.Accepted())
	}
}
