package sockstat_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/internal/sockstat"
)

func TestStateNames(t *testing.T) {
	assert.Equal(t, "CLOSE_WAIT", sockstat.CloseWait.String())
	assert.Equal(t, "FIN_WAIT2", sockstat.FinWait2.String())
	assert.Equal(t, "CLOSING", sockstat.Closing.String())
	assert.Equal(t, "state 0", sockstat.State(0).String())
	assert.Equal(t, "state 77", sockstat.State(77).String())
}

func TestCounts(t *testing.T) {
	counts := sockstat.Count([]sockstat.Socket{{State: sockstat.CloseWait}, {State: sockstat.Established}, {State: sockstat.CloseWait}})
	assert.Equal(t, sockstat.Counts{sockstat.CloseWait: 2, sockstat.Established: 1}, counts)
	assert.Equal(t, "ESTABLISHED 1, CLOSE_WAIT 2", counts.String())
	assert.Equal(t, "none", sockstat.Count(nil).String())
}
