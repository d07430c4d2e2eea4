package opentelemetry

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/transport"
)

type byOrigin = map[string]transport.Counts
type byServer = map[server]transport.Counts

func TestServerOf(t *testing.T) {
	for origin, want := range map[string]server{
		"http://a.example":                            {"http", "a.example", 80},
		"https://a.example":                           {"https", "a.example", 443},
		"https://a.example:8443":                      {"https", "a.example", 8443},
		"http://[::1]:8080":                           {"http", "::1", 8080},
		"http through https://proxy.example:3128":     {"https", "proxy.example", 3128},
		"http through http://proxy.example":           {"http", "proxy.example", 80},
		"http://a\xff":                                {"http", "a\uFFFD", 80},
		"http://a.example:port":                       {"", "http://a.example:port", 0},
		"https://xn--mnchen-3ya.example through here": {"", "here", 0},
	} {
		assert.Equal(t, want, serverOf(origin), origin)
	}
}

func TestOriginsAreBounded(t *testing.T) {
	a, b := server{"http", "a", 80}, server{"http", "b", 80}
	o := origins{limit: 2}
	assert.Equal(t, byServer{}, o.bounded(nil))
	assert.Equal(t, byServer{b: {Idle: 1}}, o.bounded(byOrigin{"http://b": {Idle: 1}}))

	assert.Equal(t, byServer{a: {Idle: 1}, b: {}, otherServers: {Idle: 2, Leased: 3}},
		o.bounded(byOrigin{
			"http://a": {Idle: 1},
			"http://c": {Idle: 1, Leased: 1},
			"http://d": {Idle: 1, Leased: 2},
		}), "the first keep their places, the others are added up")
	assert.Equal(t, byServer{a: {}, b: {Leased: 3}, otherServers: {}},
		o.bounded(byOrigin{"http://b": {Leased: 1}, "http through http://b:80": {Leased: 2}}), "a series goes on at 0, and one server has one")
}

func TestMaxOrigins(t *testing.T) {
	for limit, want := range map[int]int{0: defaultMaxOrigins + 1, 1: 2, 5000: 1000} {
		o := origins{limit: limit}
		for i := range 1000 {
			o.bounded(byOrigin{fmt.Sprint("http://", i, ".example"): {Idle: 1}})
		}
		assert.Len(t, o.bounded(nil), want, "limit %d", limit)
	}
}
