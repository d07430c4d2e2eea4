package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// A serverJob is how a server is to be.
type serverJob struct {
	Idle  time.Duration // how long it keeps an idle connection; S3 does so for some seconds
	Close bool          // it says "Connection: close" with each answer
}

// What is stored.
const (
	bucket = "photos"
	key    = "cat.jpg"
	size   = 3000
)

// store is the process of a server that speaks S3.
func store(p *history.Peer) error {
	var job serverJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		return err
	}
	object := bytes.NewReader(make([]byte, size))
	if _, err := backend.PutObject(bucket, key, map[string]string{}, object, size, nil); err != nil {
		return err
	}
	s3 := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if job.Close {
			w.Header().Set("Connection", "close")
		}
		s3.ServeHTTP(w, r)
	})
	return p.Announce(l, &http.Server{Handler: handler, IdleTimeout: job.Idle, ReadHeaderTimeout: job.Idle, ErrorLog: log.New(io.Discard, "", 0)})
}
