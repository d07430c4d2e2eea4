package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleVariable tells a process of the program what it is; unset, it is the one that the user started.
const roleVariable = "HISTORY_ROLE"

// A Role is what a process started by a [Stage] does. When it returns the process ends.
type Role func(*Peer) error

// A Peer is the process that started this one.
type Peer struct {
	in  *bufio.Reader
	out *json.Encoder
}

// PlayRole plays the role that this process was started in, and reports whether it has one.
func (h History) PlayRole(stdin io.Reader, stdout io.Writer) (bool, error) {
	name, ok := os.LookupEnv(roleVariable)
	if !ok {
		return false, nil
	}
	role := h.Roles[name]
	if role == nil {
		return true, fmt.Errorf("unknown role %q", name)
	}
	return true, role(&Peer{bufio.NewReader(stdin), json.NewEncoder(stdout)})
}

// Receive reads the next message. At the end of the standard input the error is io.EOF.
func (p *Peer) Receive(v any) error { return receive(p.in, v) }

// Send sends a message.
func (p *Peer) Send(v any) error { return p.out.Encode(v) }

// Wait waits until this process is told to end.
func (p *Peer) Wait() error {
	_, err := io.Copy(io.Discard, p.in)
	return err
}

func receive(r *bufio.Reader, v any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// A Child is a process in a role.
type Child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts this program again in a role.
func start(role string, stderr io.Writer) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Child{cmd, in, bufio.NewReader(out)}, nil
}

// PID returns the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Send sends it a message.
func (c *Child) Send(v any) error { return json.NewEncoder(c.in).Encode(v) }

// Receive waits for its next message.
func (c *Child) Receive(v any) error {
	err := receive(c.out, v)
	if errors.Is(err, io.EOF) {
		return errors.New("a process ended early")
	}
	return err
}

// Signal sends it a signal.
func (c *Child) Signal(s os.Signal) error { return c.cmd.Process.Signal(s) }

// Stop tells it to end and waits until it has. It may be called more than once.
func (c *Child) Stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

// Kill ends it at once.
func (c *Child) Kill() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}
