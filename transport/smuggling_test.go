//go:build linux

package transport_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// TestFramings has a server send every response of the corpus, at once and byte by byte. It is read as the row says, or refused with
// what is wrong with it, and its connection serves another request where that is sound, and never where two recipients might disagree
// about where the next response begins. Whatever it was, the next request gets its own answer.
func TestFramings(t *testing.T) {
	places := make(chan struct{}, 16)
	var names sync.Map
	for _, f := range framings() {
		_, twice := names.LoadOrStore(f.kind+f.name, true)
		require.False(t, twice, "two rows are called %s, %s", f.kind, f.name)
		for _, pieces := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %s, in pieces: %v", f.kind, f.name, pieces), func(t *testing.T) {
				t.Parallel()
				places <- struct{}{}
				defer func() { <-places }()
				f.play(t, pieces)
			})
		}
	}
}

func (f framing) play(t *testing.T, pieces bool) {
	sent := make(chan struct{})
	var send badserver.Step = badserver.Write(f.raw)
	if pieces {
		send = badserver.Trickle{Bytes: f.raw}
	}
	first := badserver.Script{badserver.ReadRequest{}, send, badserver.Signal(sent)}
	if f.end {
		first = append(first, badserver.FIN{})
	}
	answer := func(s string) badserver.Script {
		return badserver.Script{badserver.ReadRequest{}, writes(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", okLine, len(s), s)), badserver.Stall{}}
	}
	server := badserver.Start(t, append(first, answer("again")...), answer("anew"))
	tr := &transport.Transport{}
	defer func() { assert.NoError(t, tr.Close()) }()

	method := f.method
	if method == "" {
		method = http.MethodGet
	}
	_, got, err := do(t, tr, method, server.URL, "", nil)
	if f.refused != "" {
		require.ErrorContains(t, err, f.refused)
		assert.NotContains(t, got, "evil")
	} else {
		require.NoError(t, err)
		assert.Equal(t, f.body, got)
	}
	require.Eventually(t, func() bool {
		select {
		case <-sent: // and in our kernel
			return true
		default:
			return tr.Stats().Open == 0
		}
	}, patience, tick)
	// A POST that nobody may repeat: no retry hides a connection that should not have been used.
	_, got, err = do(t, tr, http.MethodPost, server.URL, "body", nil)
	require.NoError(t, err)
	want := map[bool]string{false: "anew", true: "again"}[f.reused]
	assert.Equal(t, want, got)
}

// docs/framing.md shows the rows, and so what the tests have seen.
func TestFramingPage(t *testing.T) {
	const page, mark = "../docs/framing.md", "<!-- the tables are made by go test ./transport -run TestFramingPage -rewrite -->\n"
	was, err := os.ReadFile(page)
	require.NoError(t, err)
	text, _, found := strings.Cut(string(was), mark)
	require.True(t, found)
	var b strings.Builder
	b.WriteString(text + mark + "\n## Responses\n\n| | what | the server sends | rule | result | connection |\n|---|---|---|---|---|---|\n")
	for _, f := range framings() {
		connection := map[bool]string{false: "closed", true: "kept"}[f.reused]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.kind, f.name, f.shown(), f.rule, f.result(), connection)
	}
	b.WriteString("\n## Responses over HTTP/2\n\n| what the server sends | rule | result | with net/http | what ends |\n|---|---|---|---|---|\n")
	for _, f := range framings2() {
		ends := map[bool]string{false: "the stream", true: "the connection"}[f.connection]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.name, f.rule, f.result(), cmp.Or(f.std, f.result()), ends)
	}
	b.WriteString("\n## Requests\n\n| | what the caller asks for | rule | result |\n|---|---|---|---|\n")
	for _, in := range injections() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", in.part, in.name, in.rule, in.result())
	}
	b.WriteString("\n## Answers to CONNECT\n\n| what the proxy answers | rule | result |\n|---|---|---|\n")
	for _, a := range tunnelAnswers() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", a.name, a.rule, a.result())
	}
	if *rewritePage {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	assert.Equal(t, b.String(), string(was), "go test ./transport -run TestFramingPage -rewrite")
}
