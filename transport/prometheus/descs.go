package prometheus

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// descs are the descriptions of a Collector's metrics.
type descs struct {
	connections, dialing, waiting, bodies           *prometheus.Desc
	originConnections, originDialing, originWaiting *prometheus.Desc
	requests, reuses, retries, waits, waitTimeouts  *prometheus.Desc
	dials, dialErrors, closed, peerFirst            *prometheus.Desc
	leaked, drained, salvaged, absorbed, unabsorbed *prometheus.Desc

	ages *prometheus.Desc

	all []*prometheus.Desc
}

// describe returns the descriptions for a Transport's name.
func describe(transport string) (d descs) {
	metric := func(name, help string, labels ...string) *prometheus.Desc {
		desc := prometheus.NewDesc("watertight_"+name, help, labels, prometheus.Labels{"transport": transport})
		d.all = append(d.all, desc)
		return desc
	}
	d.connections = metric("connections", "Open connections, by state: idle, leased by an exchange or an open body, or upgraded.", "state")
	d.dialing = metric("dials_in_progress", "Dials in progress.")
	d.waiting = metric("waiting_requests", "Requests that wait for a connection.")
	d.bodies = metric("open_bodies", "Response bodies that hold a connection.")
	d.originConnections = metric("origin_connections", "Open connections by origin and state.", "origin", "state")
	d.originDialing = metric("origin_dials_in_progress", "Dials in progress by origin.", "origin")
	d.originWaiting = metric("origin_waiting_requests", "Requests that wait for a connection, by origin.", "origin")
	d.requests = metric("requests_total", "Exchanges begun, retries among them.")
	d.reuses = metric("reuses_total", "Exchanges begun on a connection that had served before.")
	d.retries = metric("retries_total", "Attempts of requests after the first.")
	d.waits = metric("waits_total", "Requests that queued because of MaxConnsPerHost, or for a stream.")
	d.waitTimeouts = metric("wait_timeouts_total", "Requests that queued until AcquireTimeout.")
	d.dials = metric("dials_total", "Connections opened.")
	d.dialErrors = metric("dial_errors_total", "Dials that failed.")
	d.closed = metric("connections_closed_total", "Connections closed, by reason.", "reason")
	d.peerFirst = metric("connections_closed_by_peer_total", "Connections closed that the peer had hung up first: they leave no TIME_WAIT.")
	d.ages = metric("connection_age_seconds", "How old connections were when they were closed.")
	d.leaked = metric("leaked_bodies_total", "Response bodies neither closed nor read to their end, by how they were found.", "cause")
	d.drained = metric("drained_bytes_total", "Bytes read after Close of a body to keep its connection.")
	d.salvaged = metric("salvaged_connections_total", "Connections kept after their request was cancelled.")
	d.absorbed = metric("absorbed_bytes_total", "Bytes of open bodies taken into memory after their peer hung up.")
	d.unabsorbed = metric("unabsorbed_bodies_total", "Open bodies whose peer hung up and left too much to take into memory.")
	return d
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
