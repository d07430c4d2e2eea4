package opentelemetry

import (
	"errors"
	"maps"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// instruments are those of an Observer.
type instruments struct {
	connections, dialing, waiting, bodies           metric.Int64ObservableUpDownCounter
	requests, reuses, retries, waits, waitTimeouts  metric.Int64ObservableCounter
	dials, dialErrors, closed, peerFirst            metric.Int64ObservableCounter
	leaked, drained, salvaged, absorbed, unabsorbed metric.Int64ObservableCounter

	all []metric.Observable

	durations httpconv.ClientConnectionDuration // not observed, but recorded
}

func instrumentsOf(m metric.Meter) (of instruments, err error) {
	note := func(i metric.Observable, failed error) {
		of.all, err = append(of.all, i), errors.Join(err, failed)
	}
	present := func(name, unit, about string) metric.Int64ObservableUpDownCounter {
		i, failed := m.Int64ObservableUpDownCounter("watertight."+name, metric.WithUnit(unit), metric.WithDescription(about))
		note(i, failed)
		return i
	}
	count := func(name, unit, about string) metric.Int64ObservableCounter {
		i, failed := m.Int64ObservableCounter("watertight."+name, metric.WithUnit(unit), metric.WithDescription(about))
		note(i, failed)
		return i
	}
	open, failed := httpconv.NewClientOpenConnectionsObservable(m)
	of.connections = open.Inst()
	note(of.connections, failed)
	of.durations, failed = httpconv.NewClientConnectionDuration(m, metric.WithExplicitBucketBoundaries(durationBounds()...))
	err = errors.Join(err, failed)
	of.dialing = present("dials_in_progress", "{connection}", "Dials in progress.")
	of.waiting = present("waiting_requests", "{request}", "Requests that wait for a connection.")
	of.bodies = present("open_bodies", "{body}", "Response bodies that hold a connection.")
	of.requests = count("requests", "{attempt}", "Exchanges begun, retries among them.")
	of.reuses = count("reuses", "{attempt}", "Exchanges begun on a connection that had served before.")
	of.retries = count("retries", "{attempt}", "Attempts of requests after the first.")
	of.waits = count("waits", "{request}", "Requests that queued because of MaxConnsPerHost, or for a stream.")
	of.waitTimeouts = count("wait_timeouts", "{request}", "Requests that queued until AcquireTimeout.")
	of.dials = count("dials", "{connection}", "Connections opened.")
	of.dialErrors = count("dial_errors", "{connection}", "Dials that failed.")
	of.closed = count("closed", "{connection}", "Connections closed, by reason.")
	of.peerFirst = count("closed_by_peer", "{connection}", "Connections closed that the peer had hung up first: they leave no TIME_WAIT.")
	of.leaked = count("leaked_bodies", "{body}", "Response bodies neither closed nor read to their end, by how they were found.")
	of.drained = count("drained", "By", "Bytes read after Close of a body to keep its connection.")
	of.salvaged = count("salvaged", "{connection}", "Connections kept after their request was cancelled.")
	of.absorbed = count("absorbed", "By", "Bytes of open bodies taken into memory after their peer hung up.")
	of.unabsorbed = count("unabsorbed_bodies", "{body}", "Open bodies whose peer hung up and left too much to take into memory.")
	return of, err
}

// durationBounds are what the conventions advise, in seconds.
func durationBounds() []float64 {
	return []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}
}

// reasons are those for which transport and pool close connections.
func reasons() []pool.Reason {
	return []pool.Reason{
		pool.IdleTimeout, pool.Lifetime, pool.Evicted, pool.IdleClosed, pool.Unwanted, pool.Closed,
		transport.ReasonPeerClosed, transport.ReasonPeerReset, transport.ReasonNearItsEnd, transport.ReasonUnsolicited,
		transport.ReasonNoKeepAlive, transport.ReasonFailed, transport.ReasonCancelled, transport.ReasonUnread,
		transport.ReasonUnfinished, transport.ReasonSilent, transport.ReasonLeaked, transport.ReasonUpgraded,
	}
}

// causes are those of leaks.
func causes() []transport.LeakCause {
	return []transport.LeakCause{transport.Dropped, transport.Forgotten, transport.HungUp}
}

// withZeros returns counts with a 0 for each key that has none yet.
func withZeros[K comparable](counts map[K]int64, keys []K) map[K]int64 {
	all := make(map[K]int64, len(keys))
	for _, k := range keys {
		all[k] = 0
	}
	maps.Copy(all, counts)
	return all
}
