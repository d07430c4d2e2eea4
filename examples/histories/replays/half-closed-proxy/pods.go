package main

import (
	"fmt"
	"net"
	"net/http"
	"runtime"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/transport"
)

// begun is how much of its answer a pod sends before it vanishes.
const begun = 32 << 10

// serve is a pod: a backend that begins its answers and never ends them.
func serve(p *history.Peer) error {
	var job struct{}
	if err := p.Receive(&job); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return p.Announce(l, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, begun))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})})
}

// A holderJob is what a client with open bodies is to do.
type holderJob struct {
	Transport, Base string
	Bodies          int
}

// hold is the process of a client that has bodies open, and does not read them for now.
func hold(p *history.Peer) error {
	var job holderJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	client := &http.Client{Transport: transportFor(job.Transport)}
	var held []*http.Response
	for range job.Bodies {
		resp, err := client.Get(job.Base)
		if err != nil {
			return err
		}
		held = append(held, resp)
	}
	if err := p.Send(len(held)); err != nil {
		return err
	}
	err := p.Wait()
	runtime.KeepAlive(held)
	return err
}

func transportFor(name string) http.RoundTripper {
	if name == history.Ours {
		t := transport.New()
		t.Proxy, t.RetryOnNewConns = nil, true // for workers that are killed with connections just accepted
		return t
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.MaxIdleConnsPerHost = nil, getters+posters+idlers
	return t
}

func base(port uint16) string { return fmt.Sprintf("http://127.0.0.1:%d/", port) }
