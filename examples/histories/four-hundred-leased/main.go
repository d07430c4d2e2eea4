// Four-hundred-leased plays the history of that name: see docs/histories.md, and replays/four-hundred-leased for what it does.
//
//	go run ./examples/histories/four-hundred-leased [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/internal/replay"

func main() { replay.Main("four-hundred-leased") }
