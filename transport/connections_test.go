package transport_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Connections are told with what they serve and have served, and addresses by which the kernel knows them.
func TestConnections(t *testing.T) {
	ours(t, sized, func(s *story) {
		assert.Empty(s, s.ours.Connections())
		for range 3 {
			s.read(s.get("/10"))
		}
		idle := s.ours.Connections()
		require.Len(s, idle, 1)
		assert.False(s, idle[0].Leased)
		assert.EqualValues(s, 3, idle[0].Requests)
		assert.GreaterOrEqual(s, idle[0].Since, time.Duration(0)) // a clock may stand still for a while
		assert.GreaterOrEqual(s, idle[0].Age, idle[0].Since)

		first := s.get("/1000000")
		second := s.get("/1000000")
		list := s.ours.Connections()
		want := transport.Connection{Origin: s.server.URL, Protocol: "HTTP/1.1", Leased: true, Requests: 4, Streams: 1, Remote: s.server.Listener.Addr().String()}
		if s.http2 {
			want.Protocol, want.Requests, want.Streams = "HTTP/2.0", 5, 2
			require.Len(s, list, 1)
		} else {
			require.Len(s, list, 2)
			assert.EqualValues(s, 1, list[1].Requests)
			assert.GreaterOrEqual(s, list[0].Since, list[1].Since)
		}
		got := list[0]
		assert.Equal(s, idle[0].Local, got.Local)
		assert.NotEmpty(s, got.Local)
		got.Since, got.Age, got.Local = 0, 0, ""
		assert.Equal(s, want, got)

		require.NoError(s, first.Body.Close())
		require.NoError(s, s.ours.Close())
		s.eventually("the first is drained or closed", func() bool { return len(s.ours.Connections()) == 1 })
		require.NoError(s, second.Body.Close())
		s.eventually("closed", func() bool { return len(s.ours.Connections()) == 0 })
	})
}
