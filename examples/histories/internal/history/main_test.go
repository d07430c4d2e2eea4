package history_test

import (
	"bufio"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/internal/history"
)

// A process of the tests' own history is the test's binary.
func TestMain(m *testing.M) {
	if handled, err := told.PlayRole(os.Stdin, os.Stdout); handled {
		if err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// told is a history of a server that accepts connections and never says a word.
var told = history.History{
	Name:  "told",
	About: "nothing happens",
	Roles: map[string]history.Role{"server": silence, "early": func(*history.Peer) error { return nil }},
	Replay: func(*history.Stage) (*history.Report, error) {
		r := &history.Report{Title: "told", Intro: "Nothing happens.", Columns: []string{"a", "b"}}
		r.Add("sockets", 1, "two")
		return r, nil
	},
}

func silence(p *history.Peer) error {
	var hangUp bool
	if err := p.Receive(&hangUp); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if hangUp {
				_ = nc.Close()
				continue
			}
			go func() { _, _ = bufio.NewReader(nc).ReadByte() }()
		}
	}()
	if err := p.Send(l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	return p.Wait()
}
