package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// The programs that the replay wants, as Debian's packages install them.
var programs = []string{"haproxy", "nginx", "apache2"}

// find returns where a program is. An ordinary user's PATH may be without sbin.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + program)
}

// missing returns an error for each of the programs that is not installed.
func missing(programs []string) (err error) {
	for _, program := range programs {
		if _, e := find(program); e != nil {
			err = errors.Join(err, fmt.Errorf("%s is not installed: apt-get install %s", program, program))
		}
	}
	return err
}

// enterable returns an error if a server's workers cannot reach a file in dir. A server of root's has workers of another user.
func enterable(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for ; ; dir = filepath.Dir(dir) {
		about, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if about.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("%s is closed to the servers' workers, which are another user's: chmod o+x %[1]s", dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// A server is a program of somebody else's, kept by a process of ours, which ends it with itself.
type server struct {
	keeper *history.Child
	pid    int
}

// A keeperJob is the command line of a server.
type keeperJob struct{ Args []string }

// startServer starts a server in the foreground and waits until it can be reached.
func startServer(s *history.Stage, port uint16, args ...string) (*server, error) {
	path, err := find(args[0])
	if err != nil {
		return nil, err
	}
	k, err := s.Start(roleKeeper, keeperJob{append([]string{path}, args[1:]...)})
	if err != nil {
		return nil, err
	}
	sv := &server{keeper: k}
	if err := k.Receive(&sv.pid); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			return sv, nc.Close()
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s is not reached: %w", args[0], err)
		}
	}
}

// keep is the process that keeps a server: it ends it when it is told to end, or the process that told is gone.
func keep(p *history.Peer) error {
	var job keeperJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	cmd := exec.Command(job.Args[0], job.Args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(terminate)
		ended := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		ended.Stop()
	}()
	if err := p.Send(cmd.Process.Pid); err != nil {
		return err
	}
	return p.Wait()
}

// configure writes a configuration into a folder of its own and returns its path.
func configure(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// freePorts returns ports that nobody listened on a moment ago.
func freePorts(n int) (ports []uint16, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, uint16(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
