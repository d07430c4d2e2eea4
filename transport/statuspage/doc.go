// Package statuspage shows what a [transport.Transport] is doing: as a page for people, as JSON for programs, and as a profile for go
// tool pprof.
//
//	mux.Handle("/debug/transport", &statuspage.Handler{Transport: t})
//
// The page has the totals and their course over the last ten minutes, the findings of Diagnose, the origins, the connections with their state,
// age and number of requests, and the open bodies with their age and the line that opened them (with RecordStacks, or from an origin's second
// leak on). Tables of more than a hundred rows are paged. It is one document with style and without scripts, and loads nothing from elsewhere.
//
// URLs appear as RedactURL returns them, by default without user info, query and fragment. The page has no credentials and no header fields. What
// it has, hosts, paths and function names, is still for operators only: serve the page where net/http/pprof would be served.
//
// # The course
//
// A sample of the counters is taken whenever the page is requested, in whatever form, but no more than one a second; a page in a browser reloads
// every five seconds. Nothing is sampled while nobody looks: so there is no goroutine and no timer, and a Handler that is dropped leaves nothing
// behind. For a longer history, export Stats, for example with package prometheus.
//
// # Forms
//
//	Accept: text/html, or anything    the page; ?refresh=0 keeps it from reloading
//	Accept: application/json          the same as JSON; also ?format=json
//	?format=profile                   the open bodies by stack, for go tool pprof
//	?origins=2                        the second hundred origins; likewise ?connections=2 and ?bodies=2
//	?origin=https://a.example         the connections to one origin
package statuspage
