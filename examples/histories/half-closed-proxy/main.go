// Half-closed-proxy plays the history of that name: see docs/histories.md, and replays/half-closed-proxy for what it does.
//
//	go run ./examples/histories/half-closed-proxy [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/internal/replay"

func main() { replay.Main("half-closed-proxy") }
