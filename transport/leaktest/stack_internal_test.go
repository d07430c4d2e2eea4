package leaktest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// However deep the module that made the request, the program's own line is shown.
func TestDeepStacksShowTheProgram(t *testing.T) {
	var users []frame
	for line := range 10 {
		users = append(users, frame{"dep.example/client.call", "client.go", line})
	}
	own := frame{module + "examples/unittest.TestUser", "client_test.go", 1}
	for name, tt := range map[string]struct{ users, want []frame }{
		"shallow": {append(users[:3:3], own), append(users[:3:3], own)},
		"deep":    {append(users[:10:10], own, own), append(users[:5:5], own)},
		"unknown": {users, users[:6]},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, shown(tt.users)) })
	}
}
