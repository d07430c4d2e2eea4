package history_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// A timeline shows what the kernel knows of the connections to a server: those that were there, and the last of all.
func TestTimeline(t *testing.T) {
	for _, hangUp := range []bool{false, true} {
		t.Run(fmt.Sprint("hangUp=", hangUp), func(t *testing.T) {
			s := history.NewStage(true, io.Discard)
			defer s.End()
			_, port, err := s.Serve("server", hangUp)
			require.NoError(t, err)
			line, err := timeline.Watch(port)
			require.NoError(t, err)
			state := map[bool]string{false: "ESTABLISHED", true: "CLOSE_WAIT"}[hangUp]
			for range 3 {
				nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
				require.NoError(t, err)
				defer func() { _ = nc.Close() }()
			}
			line.Mark("three")
			counts, err := line.Until(5*time.Second, func(c map[string]int) bool { return c[state] == 3 })
			require.NoError(t, err)
			assert.Equal(t, map[string]int{state: 3}, counts)
			require.NoError(t, line.Stop())
			assert.Equal(t, 3, line.Last(state))
			assert.Equal(t, 3, line.Peak(state, "LAST_ACK"))
			assert.Zero(t, line.Peak("LAST_ACK"), "nobody closed a connection")
			require.Len(t, line.Marks, 1)
			assert.Equal(t, 3, timeline.Open(counts))
		})
	}
}

// Whoever is told to end, ends; whoever ends by itself is an error for those who wait for a word of it.
func TestProcesses(t *testing.T) {
	s := history.NewStage(true, io.Discard)
	c, port, err := s.Serve("server", false)
	require.NoError(t, err)
	early, err := s.Start("early", nil)
	require.NoError(t, err)
	assert.EqualError(t, early.Receive(new(int)), "a process ended early")
	s.End()
	_, err = net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
	assert.Error(t, err)
	assert.Error(t, c.Signal(nil))
	c.Stop()
	c.Kill()
	s.End()
}
