// Timeout-storm plays the history of that name: see docs/histories.md, and replays/timeout-storm for what it does.
//
//	go run ./examples/histories/timeout-storm [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/internal/replay"

func main() { replay.Main("timeout-storm") }
