// Half-closed-proxy replays a HAProxy whose backends vanish, with sockets that stay half-closed, and then nginx and Apache httpd that are
// reloaded and killed under load: with http.Transport and with transport.Transport. It wants haproxy, nginx and apache2 installed.
//
//	go run ./examples/histories/half-closed-proxy [-short] [-json] [-svg FILE]
package main

import (
	"errors"
	"os"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

func main() { history.Main(proxy) }

var proxy = history.History{
	Name:  "half-closed-proxy",
	About: "a proxy whose backends vanish, and servers that are reloaded under load",
	Roles: map[string]history.Role{rolePod: serve, roleHolder: hold, roleLoad: load, roleKeeper: keep},
	Replay: func(s *history.Stage) (*history.Report, error) {
		if err := errors.Join(missing(programs), enterable(os.TempDir())); err != nil {
			return nil, err
		}
		return newReport(replay(s))
	},
}

const (
	rolePod    = "pod"
	roleHolder = "holder"
	roleLoad   = "load"
	roleKeeper = "keeper"
)
