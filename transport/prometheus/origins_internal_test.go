package prometheus

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/transport"
)

type byOrigin = map[string]transport.Counts

func TestOriginsAreBounded(t *testing.T) {
	o := origins{limit: 2}
	assert.Equal(t, byOrigin{}, o.bounded(nil))
	assert.Equal(t, byOrigin{"http://b": {Idle: 1}}, o.bounded(byOrigin{"http://b": {Idle: 1}}))

	assert.Equal(t, byOrigin{"http://a": {Idle: 1}, "http://b": {}, "other": {Idle: 2, Leased: 3, Dialing: 4, Waiting: 5}},
		o.bounded(byOrigin{
			"http://a": {Idle: 1},
			"http://c": {Idle: 1, Leased: 1, Waiting: 5},
			"http://d": {Idle: 1, Leased: 2, Dialing: 4},
		}), "the first keep their places, the others are added up")
	assert.Equal(t, byOrigin{"http://a": {}, "http://b": {Leased: 1}, "other": {}},
		o.bounded(byOrigin{"http://b": {Leased: 1}}), "a series goes on at 0")
}

func TestMaxOrigins(t *testing.T) {
	for _, tt := range []struct{ limit, want int }{{-1, 0}, {0, defaultMaxOrigins + 1}, {1, 2}, {5000, 1000}} {
		o := origins{limit: tt.limit}
		for i := range 1000 {
			o.bounded(byOrigin{fmt.Sprint("http://", i, ".example"): {Idle: 1}})
		}
		assert.Len(t, o.bounded(nil), tt.want, "limit %d", tt.limit)
	}
}

// A label is UTF-8, a host that somebody asked for may be anything.
func TestOriginsAreText(t *testing.T) {
	assert.Equal(t, byOrigin{"http://a\uFFFD": {Dialing: 1}}, new(origins).bounded(byOrigin{"http://a\xff": {Dialing: 1}}))
}
