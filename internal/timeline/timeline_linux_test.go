package timeline_test

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/timeline"
)

// A timeline shows what the kernel knows of those who are connected to a server, until it is stopped.
func TestWatch(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	line, err := timeline.Watch(uint16(l.Addr().(*net.TCPAddr).Port))
	require.NoError(t, err)
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	is := func(state string) func(map[string]int) bool {
		return func(counts map[string]int) bool { return counts[state] == 1 && len(counts) == 1 }
	}
	_, err = line.Until(5*time.Second, is("ESTABLISHED"))
	require.NoError(t, err)
	line.Mark("the server leaves")
	require.NoError(t, server.Close())
	counts, err := line.Until(5*time.Second, is("CLOSE_WAIT"))
	require.NoError(t, err)
	assert.Equal(t, 1, timeline.Open(counts))
	require.NoError(t, line.Stop())
	assert.Equal(t, 1, line.Last("CLOSE_WAIT"))
	assert.Equal(t, 1, line.Peak("CLOSE_WAIT", "ESTABLISHED"))
	b, err := json.Marshal(line)
	require.NoError(t, err)
	assert.Contains(t, string(b), "the server leaves")
}

// Where the server hangs up, the last word is what is left when the client has had time to notice.
func TestHungUp(t *testing.T) {
	for _, notices := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		line, err := timeline.Watch(uint16(l.Addr().(*net.TCPAddr).Port))
		require.NoError(t, err)
		nc, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, server.Close())
		if notices {
			_, err = nc.Read(make([]byte, 1))
			require.Error(t, err)
			time.AfterFunc(50*time.Millisecond, func() { _ = nc.Close() })
		} else {
			defer nc.Close()
		}
		counts, err := line.HungUp(5 * time.Second)
		require.NoError(t, err)
		assert.Equal(t, notices, timeline.Open(counts) == 0, counts)
		require.NoError(t, line.Stop())
	}
}
