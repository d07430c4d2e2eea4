package bench_test

import (
	"os"
	"testing"

	"github.com/watertight-go/watertight/internal/bench/process"
)

// TestMain plays a role where this process is a child.
func TestMain(m *testing.M) {
	process.Play(map[string]func(args string) process.Role{"server": server, "client": client})
	os.Exit(m.Run())
}

// A child is a process that ends with the benchmark.
type child struct{ *process.Child }

func start(b *testing.B, role, args string) child {
	b.Helper()
	c, err := process.Start(role, args)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.End)
	return child{c}
}

func (c child) do(b *testing.B, command string, answer any) {
	b.Helper()
	if err := c.Do(command, answer); err != nil {
		b.Fatal(err)
	}
}
