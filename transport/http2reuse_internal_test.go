package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection that has served was not opened for the next request, also where the codec has not come to act on the server's SETTINGS:
// they may come in one piece with the first response.
func TestServedBeforeItsSettings(t *testing.T) {
	hc := &http2Conn{core: &core{wall: wallClock}, settled: make(chan struct{}), wire: new(http2Wire)}
	for _, reused := range []bool{false, true, true} {
		a := &attempt{reused: !reused}
		require.NoError(t, hc.enter(a))
		assert.Equal(t, reused, a.reused)
		if hc.exchanges.Add(-1) == 0 { // as leave does
			hc.idleSince.Store(hc.core.wall())
		}
	}
}
