// S3-single-process plays the history of that name: see docs/histories.md, and replays/s3-single-process for what it does.
//
//	go run ./examples/histories/s3-single-process [-short] [-json] [-svg FILE]
package main

import "github.com/watertight-go/watertight/examples/histories/internal/replay"

func main() { replay.Main("s3-single-process") }
