// Four-hundred-leased replays a pool that is full of connections whose server is gone: 400 connections allowed, all
// leased by response bodies that nobody closes, all in CLOSE_WAIT, and every caller queueing. First with http.Transport,
// then with transport.Transport.
//
//	go run ./examples/histories/four-hundred-leased [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/replays/internal/history"

func main() { history.Main(leased) }

var leased = history.History{
	Name:   "four-hundred-leased",
	About:  "all 400 connections of a pool are leased and in CLOSE_WAIT, and every caller queues",
	Roles:  map[string]history.Role{roleServer: serve, roleClient: request},
	Replay: func(s *history.Stage) (*history.Report, error) { return newReport(replay(s)) },
}

const (
	roleServer = "server"
	roleClient = "client"
)
