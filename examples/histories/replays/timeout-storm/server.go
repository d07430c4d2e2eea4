package main

import (
	"net"
	"net/http"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// The answers come after, and the requests give up after.
const (
	answerTime = 30 * time.Millisecond
	timeout    = 20 * time.Millisecond
)

// serve is the server's process. It keeps idle connections, so that whoever closes them is the client.
func serve(p *history.Peer) error {
	var job struct{}
	if err := p.Receive(&job); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here you are")) }
	mux.HandleFunc("/quick", answer)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(answerTime):
			answer(w, r)
		case <-r.Context().Done(): // the client has gone: as most servers do, it writes no answer
			panic(http.ErrAbortHandler)
		}
	})
	mux.HandleFunc("/never", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	return p.Announce(l, &http.Server{Handler: mux})
}
