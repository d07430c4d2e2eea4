package alarm_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/internal/alarm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A Timer calls its function once, at the time it was last set for, and not at all if it was stopped.
func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		rings := make(chan time.Duration, 10)
		ring := func() { rings <- time.Since(begun) }
		tm := alarm.AfterFunc(time.Minute, ring)
		tm.Reset(2 * time.Minute)
		assert.True(t, alarm.AfterFunc(time.Hour, ring).Stop())
		time.Sleep(5 * time.Minute)
		tm.Reset(time.Minute)
		time.Sleep(2 * time.Hour)
		assert.False(t, tm.Stop())
		assert.Equal(t, 2*time.Minute, <-rings)
		assert.Equal(t, 6*time.Minute, <-rings)
		assert.Empty(t, rings)
	})
}

// What the function of a stopped Timer refers to is collected, although the runtime keeps its timer among others.
func TestStoppedTimersLetGo(t *testing.T) {
	others := func() {
		for range 100 {
			other := time.AfterFunc(time.Hour, func() {})
			t.Cleanup(func() { other.Stop() })
		}
	}
	referredTo := func() weak.Pointer[[1000]byte] {
		p := new([1000]byte)
		others()
		tm := alarm.AfterFunc(time.Hour, func() { p[0]++ })
		others()
		tm.Stop()
		return weak.Make(p)
	}()
	for range 10 {
		runtime.GC() // and no timer that fires, for which the runtime may look through the others
	}
	assert.Nil(t, referredTo.Value())
}
