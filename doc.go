// Package watertight is the map of this module: an HTTP client transport that cannot leak connections, and its parts. It
// has no code; import
//
//	github.com/watertight-go/watertight/transport
//
// # The map
//
//	transport/               the http.RoundTripper: requests, responses, the guard on each body
//	transport/auto/          a blank import that installs one into http.DefaultTransport
//	transport/leaktest/      assertions for the tests of programs: which line forgets to close a body
//	transport/statuspage/    a page that shows what a Transport is doing
//	transport/prometheus/    Stats for Prometheus, and a Grafana dashboard; a module of its own
//	transport/opentelemetry/ Stats for OpenTelemetry; a module of its own
//	pool/                    connections of any kind, lent out as leases; knows nothing of HTTP
//	reaper/                  tells when a socket's peer is gone
//	internal/http1/          one HTTP/1.1 exchange on a net.Conn; knows no pool
//	internal/alarm/          timers that let go of what they refer to once they are stopped
//	internal/memnet/         a network in memory, for tests in bubbles of testing/synctest
//	internal/badserver/      servers that misbehave on purpose
//	internal/innocent/       careful programs, which leaktest must not blame
//	internal/known/http2/    a type whose name http.Client knows, for Transport.Client
//	internal/leakhook/       the hook by which transport/leaktest sees what transport does
//	internal/sockstat/       the kernel's socket table, for tests and examples
//	internal/timeline/       the kernel's sockets over time, and a plot of them
//	internal/soak/           tests of everything at once, which may run for hours
//	internal/archtest/       the rules of the code, as tests
//	internal/bench/          benchmarks beside other clients; a module of its own
//	internal/tools/          tools for the checks; a module of its own, so that they reach no user
//	examples/                small programs
//
// The packages pool and reaper import neither each other nor anything else of this module: each is useful alone. Package transport
// joins them. The tests of internal/archtest check that this map is true; bash .ci/run runs every check there is.
//
// # One request, one line
//
//	caller               client.Do(req)
//	Transport.RoundTrip  check, find the route                        transport.go request.go route.go
//	core.acquire         an idle connection, or the first of a           roundtrip.go pool/
//	                     released one and a finished dial                dial.go proxy.go tls.go
//	check                the watch and a look into the socket: a peer    http1look.go
//	                     that is gone costs a connection, not a request
//	RoundTrip            write the head, and the body; read the head     internal/http1/
//	respond              the whole body is here: the lease ends now      response.go detached.go
//	                     it is not: the guard owns the lease             guard.go body.go
//	finish               EOF, Close, an error, a cancellation or the     guard.go drain.go
//	                     collector: the first ends the lease, once
//	kept                 idle in the pool; a FIN or RST there is seen    reaper/
//	                     by the reaper, and the connection closed
package watertight
