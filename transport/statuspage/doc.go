// Package statuspage shows what a [transport.Transport] is doing: as a page for people, as JSON for programs, and as a profile for go
// tool pprof.
//
//	mux.Handle("/debug/transport", &statuspage.Handler{Transport: t})
//
// The page has the totals with the course of the last ten minutes, what Diagnose finds, the origins, the connections with their state, age
// and number of requests, and the open bodies with their age and the line that opened them (RecordStacks, or the second leak of an origin
// on). Tables of more than a hundred rows are paged. It is one document with style and without scripts; nothing is fetched from elsewhere.
//
// URLs appear as RedactURL has them, by default without user info, query and fragment. Credentials and header fields are not known here. What remains,
// hosts, paths and function names, is still for operators alone: serve the page where net/http/pprof would be served.
//
// # The course
//
// A sample of the counters is taken whenever the page is asked for, in whatever form, but no more than one a second; a page in a browser asks every
// five seconds. Nothing is sampled while nobody looks: so there is no goroutine and no timer, and a Handler that is dropped leaves nothing behind.
// Whoever wants a longer memory has Stats scraped.
//
// # Forms
//
//	Accept: text/html, or nothing     the page; ?refresh=0 keeps it from asking again
//	Accept: application/json          the same as JSON; also ?format=json
//	?format=profile                   the open bodies by stack, for go tool pprof
//	?origins=2 ?connections=2 ?bodies=2   the second hundred
//	?origin=https://a.example         the connections to one origin
package statuspage
