// Package process plays the parts of a benchmark in processes of their own, so that none pays for another's memory and time, and
// each has its own limit of descriptors.
package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A Role is what a child process does. It gets commands, one a line, and answers each with one line of JSON, until its input ends.
type Role func(in *bufio.Scanner, out io.Writer) error

const variable = "WATERTIGHT_BENCH_ROLE"

// Play plays a role, and ends the process, where it is a child. Elsewhere it returns.
func Play(roles map[string]func(args string) Role) {
	name, args, _ := strings.Cut(os.Getenv(variable), " ")
	if name == "" {
		return
	}
	if err := roles[name](args)(bufio.NewScanner(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Answer answers a command.
func Answer(out io.Writer, v any) error { return json.NewEncoder(out).Encode(v) }

// A Child is this program in another process, in a role.
type Child struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

// Start starts a child. End is due.
func Start(role, args string) (*Child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &Child{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), variable+"="+role+" "+args)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, c.cmd.Start()
}

// Do sends a command and decodes the answer; nil for one that does not matter.
func (c *Child) Do(command string, answer any) error {
	if _, err := io.WriteString(c.in, command+"\n"); err != nil {
		return err
	}
	if !c.out.Scan() {
		return fmt.Errorf("%s: the child ended: %w", command, io.ErrUnexpectedEOF)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(c.out.Bytes(), answer)
}

// End ends the child and waits for that.
func (c *Child) End() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}
