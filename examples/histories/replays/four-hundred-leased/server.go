package main

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// A serverJob is how a server is to be.
type serverJob struct {
	Idle time.Duration // how long it keeps a connection without a request
}

// The bodies, in bytes.
const (
	reportSize   = 64 << 10 // the kernel's buffers hold it, so the server is soon done with it
	archiveSize  = 2 << 20  // they do not hold it: the server is not done with it before it is read
	downloadSize = 20 * downloadPart
	downloadPart = 16 << 10
)

// serve is the server's process.
func serve(p *history.Peer) error {
	var job serverJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux, block := http.NewServeMux(), make([]byte, downloadPart)
	for path, size := range map[string]int{"/report": reportSize, "/archive": archiveSize, "/ping": 4} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(size))
			for n := 0; n < size; n += len(block) {
				if _, err := w.Write(block[:min(len(block), size-n)]); err != nil {
					return
				}
			}
		})
	}
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		pause, err := time.ParseDuration(r.FormValue("pause"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(downloadSize))
		for n := 0; n < downloadSize; n += downloadPart {
			if _, err := w.Write(block); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(pause)
		}
	})
	server := &http.Server{Handler: mux, IdleTimeout: job.Idle, ReadHeaderTimeout: job.Idle, ConnState: func(nc net.Conn, state http.ConnState) {
		if state == http.StateNew {
			_ = nc.(*net.TCPConn).SetWriteBuffer(2 * reportSize) // 400 times what the kernel would take by itself is much
		}
	}}
	return p.Announce(l, server)
}
