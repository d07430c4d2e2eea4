// Big-sale replays an order service under load that forgets response bodies on its error paths, with 1,024 file
// descriptors, and a backend that is replaced meanwhile. First with http.Transport, then with transport.Transport.
//
//	go run ./examples/histories/big-sale [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/replays/internal/history"

func main() { history.Main(sale) }

var sale = history.History{
	Name:   "big-sale",
	About:  "an order service with a leak on every error path, under load, with 1,024 file descriptors",
	Roles:  map[string]history.Role{roleBackend: stock, roleShop: open},
	Replay: func(s *history.Stage) (*history.Report, error) { return newReport(replay(s)) },
}

const (
	roleBackend = "backend"
	roleShop    = "shop"
)
