// Package prometheus shows what a [transport.Transport] does in Prometheus: a [Collector] reads its Stats at each scrape, and costs
// nothing between them. It is a module of its own, so that github.com/prometheus/client_golang reaches only those who import it.
// Its name is that of client_golang's package, so import one of them under another name:
//
//	import (
//		"github.com/prometheus/client_golang/prometheus"
//		"github.com/watertight-go/watertight/transport"
//		watertight "github.com/watertight-go/watertight/transport/prometheus"
//	)
//
//	tr := transport.New()
//	prometheus.MustRegister(&watertight.Collector{Transport: tr, Name: "payments"})
//
// # Metrics
//
// All have the label "transport", the Collector's Name. Gauges:
//
//	watertight_connections{state}                 connections; state is "idle", "leased" by an exchange or an open body, or "upgraded"
//	watertight_dials_in_progress                  dials
//	watertight_waiting_requests                   requests that wait for a connection
//	watertight_open_bodies                        response bodies that hold a connection
//
// The same by origin, see below:
//
//	watertight_origin_connections{origin,state}
//	watertight_origin_dials_in_progress{origin}
//	watertight_origin_waiting_requests{origin}
//
// Counters:
//
//	watertight_requests_total                     exchanges begun, retries among them
//	watertight_reuses_total                       of these, those on a connection that had served before
//	watertight_retries_total                      attempts after the first
//	watertight_waits_total                        requests that queued because of MaxConnsPerHost, or for a stream
//	watertight_wait_timeouts_total                of these, those that AcquireTimeout ended
//	watertight_dials_total                        connections opened
//	watertight_dial_errors_total                  dials that failed
//	watertight_connections_closed_total{reason}   connections closed; reason is a pool.Reason, such as "idle timeout"
//	watertight_connections_closed_by_peer_total   of these, how many the peer had hung up first: they leave no TIME_WAIT
//	watertight_leaked_bodies_total{cause}         bodies neither closed nor read to their end; cause is "dropped", "forgotten" or "hung up"
//	watertight_drained_bytes_total                bytes read after Close to keep connections
//	watertight_salvaged_connections_total         connections kept after their request was cancelled
//	watertight_absorbed_bytes_total               bytes of open bodies taken into memory after their peer hung up
//	watertight_unabsorbed_bodies_total            bodies of which more than MaxAbsorbBytes was left then: their sockets wait for the reader
//
// A histogram, which begins with the Transport as well:
//
//	watertight_connection_age_seconds             how old connections were when they were closed, in 13 bounds from 10 ms to 10,000 s
//
// Counters start at 0 with the Transport, each known reason and cause too, so that rate and increase see the first event.
//
// # How many series
//
// A Transport has 55 series, and up to 4 more for each origin. A program that takes URLs from others (a crawler, a sender of webhooks)
// may meet any number of origins, so there is a bound, [Collector.MaxOrigins]: that many have series of their own for as long as
// the Collector lives, with the value 0 while they have no connection. All later ones together are the origin "other". The metrics without
// an origin count all of them in any case.
//
// An origin is a scheme and a host, with its port if that is not the scheme's default; with an HTTP proxy that forwards, the proxy. User info,
// paths, queries and headers never appear. If the names of hosts must not appear either, set MaxOrigins to -1.
//
// # Dashboard
//
// The folder has a Grafana dashboard, dashboard.json: import it and choose the data source.
package prometheus
