package main

import (
	"fmt"
	"strings"
)

// A kind is a kind of request and of its answer.
type kind struct {
	Name   string
	Path   string // it tells the server what to answer
	Upload int    // bytes of the request's body; 0: a GET
	Answer int    // bytes of the response's body
}

var kinds = []kind{
	{Name: "GET 13 B", Path: "/13", Answer: 13},
	{Name: "GET 4 KiB", Path: "/4096", Answer: 4 << 10},
	{Name: "GET 64 KiB", Path: "/65536", Answer: 64 << 10},
	{Name: "GET 1 MiB", Path: "/1048576", Answer: 1 << 20},
	{Name: "GET 4 KiB chunked", Path: "/chunked", Answer: 4 << 10},
	{Name: "POST 1 KiB", Path: "/13", Upload: 1 << 10, Answer: 13},
	{Name: "POST 1 MiB", Path: "/13", Upload: 1 << 20, Answer: 13},
}

// A scene is a kind of request under some load.
type scene struct {
	Kind    kind
	HTTPS   bool
	HTTP2   bool // with HTTPS
	Workers int  // requests at a time, on as many connections, or streams
	Client  bool // through an http.Client with a Timeout
	Origins int  // they are asked in turn; 0: one
	Idle    int  // connections that are idle besides
}

func (s scene) String() string {
	protocol := map[bool]string{false: "http", true: "https"}[s.HTTPS]
	if s.HTTP2 {
		protocol = "HTTP/2"
	}
	text := fmt.Sprintf("%s %s, %d workers", protocol, s.Kind.Name, s.Workers)
	if s.Origins > 0 {
		text += fmt.Sprintf(", %d origins", s.Origins)
	}
	if s.Idle > 0 {
		text += fmt.Sprintf(", %d idle", s.Idle)
	}
	return text
}

// A group is what is shown together.
type group struct {
	Name     string // how its files' names begin; "" for the first
	Title    string
	Scenes   []scene
	Subjects []string // as they appear in tables; the first is what the others are compared with
	Measures []string // by name
}

// name is that of a scene among all groups.
func (g group) name(sc scene) string { return g.Title + ": " + sc.String() }

func groups() []group {
	requests := group{
		Title:    "Requests",
		Subjects: []string{"floor", "watertight", "net/http", "fasthttp", "fasthttp streamed", "hertz"},
		Measures: []string{"cpu", "throughput", "p50", "p99", "allocs", "bytes"},
	}
	clients := group{Name: "client-", Title: "Through http.Client with a Timeout", Measures: []string{"cpu", "allocs", "bytes"}}
	for _, https := range []bool{false, true} {
		for _, k := range kinds {
			for _, workers := range []int{16, 128} {
				requests.Scenes = append(requests.Scenes, scene{Kind: k, HTTPS: https, Workers: workers})
			}
		}
		for _, k := range kinds[:3] {
			clients.Scenes = append(clients.Scenes, scene{Kind: k, HTTPS: https, Workers: 16, Client: true})
		}
	}
	origins := group{Name: "origins-", Title: "Many origins, each with an idle connection", Measures: []string{"cpu", "allocs"}}
	idle := group{Name: "idle-", Title: "Many idle connections to one origin", Measures: []string{"cpu", "allocs"}}
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		origins.Scenes = append(origins.Scenes, scene{Kind: kinds[0], Workers: 16, Origins: n})
	}
	for _, n := range []int{1, 10, 100, 1000, 9000} {
		idle.Scenes = append(idle.Scenes, scene{Kind: kinds[0], Workers: 16, Idle: n})
	}
	locks := group{
		Name: "locks-", Title: "Where goroutines meet", Measures: []string{"locks", "cpu"},
		Scenes: []scene{{Kind: kinds[0], Workers: 8}, {Kind: kinds[0], Workers: 1000, Origins: 1000}},
	}
	all := []group{requests, clients, origins, idle, locks}
	for i := range all[1:] {
		all[1+i].Subjects = []string{"floor", "watertight", "net/http"}
	}
	all[1].Subjects = append(all[1].Subjects, "in http.Client{}")
	http2 := group{Name: "http2-", Title: "HTTP/2", Subjects: []string{"net/http", "watertight"}, Measures: []string{"cpu", "throughput", "allocs", "bytes"}}
	for _, k := range kinds {
		for _, workers := range []int{1, 16, 128} {
			http2.Scenes = append(http2.Scenes, scene{Kind: k, HTTPS: true, HTTP2: true, Workers: workers})
		}
	}
	return append(all, http2)
}

// head is what the floor sends before the body, and about what the others send.
func (k kind) head(host string) string {
	if k.Upload == 0 {
		return "GET " + k.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\n\r\n"
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n", k.Path, host, k.Upload)
}

// responses are the server's, whole, by path.
var responses = func() map[string][]byte {
	m := map[string][]byte{}
	const common = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
	for _, k := range kinds {
		body := strings.Repeat("w", k.Answer)
		if k.Path == "/chunked" {
			half := body[:k.Answer/2]
			m[k.Path] = fmt.Appendf(nil, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", common, len(half), half, len(half), half)
			continue
		}
		m[k.Path] = fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", common, len(body), body)
	}
	return m
}()
