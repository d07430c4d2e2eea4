package badserver_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/internal/badserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func dial(t *testing.T, s *badserver.Server) net.Conn {
	addr := s.URL[strings.Index(s.URL, "//")+2:]
	if s.TLS != nil {
		c, err := tls.Dial("tcp", addr, s.TLS)
		require.NoError(t, err)
		return c
	}
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	return c
}

// A script is played step by step, each connection has its own, and the last one serves for the rest.
func TestScripts(t *testing.T) {
	for name, start := range map[string]func(badserver.TB, ...badserver.Script) *badserver.Server{
		"plain": badserver.Start, "TLS": badserver.StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			signal := make(chan struct{})
			s := start(t,
				badserver.Script{badserver.ReadRequest{}, badserver.Write("one"), badserver.Repeat{Times: 2, Script: badserver.Script{badserver.Write("!")}}, badserver.Close{}},
				badserver.Script{badserver.Wait(signal), badserver.Trickle{Bytes: "two"}, badserver.FIN{}, badserver.Stall{}},
			)
			first, second := dial(t, s), dial(t, s)
			defer first.Close()
			defer second.Close()
			_, err := io.WriteString(first, request)
			require.NoError(t, err)
			got, err := io.ReadAll(first)
			require.NoError(t, err)
			assert.Equal(t, "one!!", string(got))
			close(signal)
			if name == "plain" {
				got, err = io.ReadAll(second)
				require.NoError(t, err)
				assert.Equal(t, "two", string(got))
			}
		})
	}
}

// A reset is one.
func TestReset(t *testing.T) {
	s := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.RST{}})
	c := dial(t, s)
	defer c.Close()
	_, err := io.WriteString(c, request)
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	assert.ErrorAs(t, err, new(syscall.Errno), "of which each system has its own; an end would be io.EOF")
	assert.Equal(t, 1, s.Accepted())
}
