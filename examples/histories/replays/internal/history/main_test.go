package history_test

import (
	"bufio"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

func TestMain(m *testing.M) { history.TestMain(told, func() { goleak.VerifyTestMain(m) }) }

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
