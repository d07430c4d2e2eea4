package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// articles is how long the list of what is in stock is: some 24 KiB.
const articles = 600

// An article is one of them.
type article struct {
	Name string `json:"name"`
	Left int    `json:"left"`
}

// stock is the backend's process. It knows what is in stock, and when it does not, it says so at length, as servers do.
func stock(p *history.Peer) error {
	var idle time.Duration
	if err := p.Receive(&idle); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	list, err := json.Marshal(make([]article, articles))
	if err != nil {
		return err
	}
	page := bytes.Repeat([]byte("<p>We are sorry.</p>\n"), len(list)/20)
	mux := http.NewServeMux()
	mux.HandleFunc("/stock", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) })
	mux.HandleFunc("/garbled", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.HandleFunc("/sold-out", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write(page)
	})
	// ReadHeaderTimeout is for connections that were opened for a request that found another, and never used.
	return p.Announce(l, &http.Server{Handler: mux, IdleTimeout: idle, ReadHeaderTimeout: idle})
}
