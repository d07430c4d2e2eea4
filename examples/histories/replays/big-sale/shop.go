package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/transport"
)

// backendHost is the name under which the shop knows its backend.
const backendHost = "http://stock.example"

// A shopJob is how a shop is to be.
type shopJob struct {
	Transport   string
	Backend     uint16        // where the name leads at first
	Descriptors uint64        // how many it may have; 0: as many as this process
	Lifetime    time.Duration // MaxConnLifetime of ours
	Patience    time.Duration // how long a careful order waits for the backend
}

// open is the shop's process.
func open(p *history.Peer) error {
	var j shopJob
	if err := p.Receive(&j); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := limitDescriptors(j.Descriptors); err != nil {
		return err
	}
	s := newShop(j)
	mux := http.NewServeMux()
	mux.HandleFunc("/order", s.order)
	mux.HandleFunc("/move", s.move)
	mux.HandleFunc("/origins", s.origins)
	return p.Announce(l, &http.Server{Handler: recovering(mux), ErrorLog: log.New(io.Discard, "", 0)})
}

// A shop takes orders. It knows nothing of which transport it runs on.
type shop struct {
	client   *http.Client
	patience time.Duration
	backend  atomic.Uint32 // the port where its name leads
}

func newShop(j shopJob) *shop {
	s := &shop{patience: j.Patience}
	s.backend.Store(uint32(j.Backend))
	if j.Transport == history.Ours {
		t := transport.New()
		t.Proxy, t.DialContext, t.MaxConnLifetime = nil, s.dial, j.Lifetime
		s.client = &http.Client{Transport: t}
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.Proxy, t.DialContext, t.MaxIdleConnsPerHost = nil, s.dial, customers
		s.client = &http.Client{Transport: t}
	}
	return s
}

// dial stands for the DNS.
func (s *shop) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, fmt.Sprint("127.0.0.1:", s.backend.Load()))
}

// move makes the backend's name lead elsewhere.
func (s *shop) move(_ http.ResponseWriter, r *http.Request) {
	var port uint32
	_, _ = fmt.Sscan(r.FormValue("port"), &port)
	s.backend.Store(port)
}

// origins tells how many origins have something in the pool; http.Transport cannot tell.
func (s *shop) origins(w http.ResponseWriter, _ *http.Request) {
	n := -1
	if t, ok := s.client.Transport.(*transport.Transport); ok {
		n = 0
		for _, o := range t.Stats().Origins {
			if o.Open+o.Dialing+o.Waiting > 0 {
				n++
			}
		}
	}
	_ = json.NewEncoder(w).Encode(n)
}

// recovering answers 500 where a handler panics, as frameworks do.
func recovering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// The kinds of orders, and the status that each is to be answered with.
var kinds = map[string]int{
	"good":     http.StatusOK,
	"panic":    http.StatusInternalServerError,
	"sold-out": http.StatusConflict,
	"garbled":  http.StatusBadGateway,
	"hasty":    http.StatusAccepted,
}

var errSoldOut = errors.New("sold out")

// order takes an order.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var err error
	status := http.StatusOK
	switch r.FormValue("kind") {
	case "panic":
		err = s.panics()
	case "sold-out":
		err = s.returnsEarly()
	case "garbled":
		err = s.failsToDecode()
	case "hasty":
		status, err = http.StatusAccepted, s.ignoresTheError()
	default:
		err = s.careful(r.Context())
	}
	var failed *json.SyntaxError
	switch {
	case err == nil:
		w.WriteHeader(status)
	case errors.Is(err, errSoldOut):
		w.WriteHeader(http.StatusConflict)
	case errors.As(err, &failed):
		w.WriteHeader(http.StatusBadGateway)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
