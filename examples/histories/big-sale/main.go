// Big-sale plays the history of that name: see docs/histories.md, and replays/big-sale for what it does.
//
//	go run ./examples/histories/big-sale [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/internal/replay"

func main() { replay.Main("big-sale") }
