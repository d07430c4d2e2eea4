// S3-single-process replays a pre-forking server whose processes each make one call to S3 and then none: with a pool that cleans up only when it
// is asked for a connection again, with http.Transport and with transport.Transport.
//
//	go run ./examples/histories/s3-single-process [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/replays/internal/history"

func main() { history.Main(single) }

var single = history.History{
	Name:   "s3-single-process",
	About:  "one call to S3 in each of 50 processes, and never another",
	Roles:  map[string]history.Role{roleServer: store, roleWorker: work},
	Replay: func(s *history.Stage) (*history.Report, error) { return newReport(replay(s)) },
}

const (
	roleServer = "server"
	roleWorker = "worker"
)
