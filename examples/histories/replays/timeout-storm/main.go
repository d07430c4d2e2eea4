// Timeout-storm replays a client whose requests time out just before their answers come, and that closes a connection each time:
// with http.Transport, fasthttp v1.59.0 and transport.Transport. Before, it replays an idle timeout of 30 that was meant as 30 seconds.
//
//	go run ./examples/histories/timeout-storm [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/replays/internal/history"

func main() { history.Main(storm) }

var storm = history.History{
	Name:   "timeout-storm",
	About:  "20 ms timeouts against 30 ms answers, and an idle timeout of 30 nanoseconds",
	Roles:  map[string]history.Role{roleServer: serve, roleClient: request},
	Replay: func(s *history.Stage) (*history.Report, error) { return newReport(replay(s)) },
}

const (
	roleServer = "server"
	roleClient = "client"
)
