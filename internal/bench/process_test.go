package bench_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A role is what a child process does. It gets commands, one a line, and answers each with one line.
type role func(in *bufio.Scanner, out io.Writer) error

const roleVariable = "WATERTIGHT_BENCH_ROLE"

// TestMain plays a role where this process is a child.
func TestMain(m *testing.M) {
	name, args, _ := strings.Cut(os.Getenv(roleVariable), " ")
	if name == "" {
		os.Exit(m.Run())
	}
	play := map[string]func(args string) role{"server": server, "client": client}[name]
	if err := play(args)(bufio.NewScanner(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A child is a process in another role. Each subject has one of its own, so that none pays for another's memory, and so has the
// server, as each process has its own limit of descriptors.
type child struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func start(b *testing.B, roleAndArgs string) *child {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := &child{cmd: exec.CommandContext(b.Context(), exe)}
	c.cmd.Env = append(os.Environ(), roleVariable+"="+roleAndArgs)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = c.in.Close() // which ends it
		_ = c.cmd.Wait()
	})
	return c
}

// do sends a command and decodes the answer.
func (c *child) do(b *testing.B, command string, answer any) {
	b.Helper()
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		b.Fatal(err)
	}
	if !c.out.Scan() {
		b.Fatalf("%s: the child ended: %v", command, c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), answer); err != nil {
		b.Fatalf("%s: %v in %q", command, err, c.out.Text())
	}
}

func reply(out io.Writer, v any) error { return json.NewEncoder(out).Encode(v) }
