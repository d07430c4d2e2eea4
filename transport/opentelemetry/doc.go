// Package opentelemetry shows what a [transport.Transport] does as OpenTelemetry metrics: an [Observer] reads its Stats whenever the
// MeterProvider collects, and is told of each connection that is closed. It is a module of its own, so that go.opentelemetry.io/otel reaches only those who
// import it.
//
//	tr := transport.New()
//	registration, err := (&opentelemetry.Observer{Transport: tr, Name: "payments"}).Register()
//	...
//	defer registration.Unregister()
//
// Spans and the durations of requests are otelhttp's: wrap the Transport in otelhttp.NewTransport as any other.
//
// # Metrics
//
// Two are of the semantic conventions for HTTP clients (version 1.43), where their stability is development:
//
//	http.client.open_connections       UpDownCounter  {connection}  http.connection.state (active, idle), server.address, server.port, url.scheme
//	http.client.connection.duration    Histogram      s             of those closed; server.address, server.port, url.scheme, network.protocol.version
//
// Ours, for what they have no name for:
//
//	watertight.dials_in_progress       UpDownCounter  {connection}
//	watertight.waiting_requests        UpDownCounter  {request}     that wait for a connection
//	watertight.open_bodies             UpDownCounter  {body}        that hold a connection
//	watertight.requests                Counter        {attempt}     exchanges begun, retries among them
//	watertight.reuses                  Counter        {attempt}     of these, those on a connection that had served before
//	watertight.retries                 Counter        {attempt}     after the first
//	watertight.waits                   Counter        {request}     that queued because of MaxConnsPerHost, or for a stream
//	watertight.wait_timeouts           Counter        {request}     of these, those that AcquireTimeout ended
//	watertight.dials                   Counter        {connection}  opened
//	watertight.dial_errors             Counter        {connection}  dials that failed
//	watertight.closed                  Counter        {connection}  watertight.close.reason: a pool.Reason, such as "idle timeout"
//	watertight.closed_by_peer          Counter        {connection}  of these, those that the peer had hung up first
//	watertight.leaked_bodies           Counter        {body}        watertight.leak.cause: "dropped", "forgotten", "hung up"
//	watertight.drained                 Counter        By            read after Close to keep connections
//	watertight.salvaged                Counter        {connection}  kept after their request was cancelled
//	watertight.absorbed                Counter        By            of open bodies, taken into memory after their peer hung up
//	watertight.unabsorbed_bodies       Counter        {body}        of which more than MaxAbsorbBytes was left then
//
// All have the attribute watertight.transport, the Observer's Name, unless that is empty. Counters start at 0 with the Transport, each
// known reason and cause too. The histogram begins with Register, since OpenTelemetry has no way to take over one that was kept
// elsewhere. Its bounds are those that the conventions advise, 10 ms to 5 minutes, unless a View says otherwise. A connection's
// duration lasts from the end of its dial, handshake included, to its close, even if an upgrade made it its caller's.
//
// The conventions' network.peer.address is not here: the connections of one origin are counted together, however many addresses it has.
//
// # How many series
//
// The conventions want server.address and server.port with each metric of connections. A program that takes URLs from others (a crawler, a
// sender of webhooks) may meet any number of origins, so there is a bound, [Observer.MaxOrigins]: that many are told apart for as
// long as they are observed, with the value 0 while they have no connection. All later ones are counted together under
// otel.metric.overflow, the name that SDKs have for it. User info, paths, queries and headers never appear. If the names of
// hosts must not appear either, set MaxOrigins to -1: connections are then counted by state alone.
//
// With an HTTP proxy that forwards, the server of a connection is the proxy.
package opentelemetry
