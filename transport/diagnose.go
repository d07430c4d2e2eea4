package transport

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A Finding is something about a Transport that its program, its settings or a server could do better.
type Finding struct {
	Origin  string           `json:"origin"`          // scheme and host, as in Stats
	Text    string           `json:"text"`            // in plain words, with the figures
	Field   string           `json:"field,omitempty"` // of Transport, whose change may help; "" where none does
	Figures map[string]int64 `json:"figures"`         // behind the text, by the names that Stats has in JSON, as "dials" or "closes: evicted"
}

// maxFindings bounds a diagnosis: of many origins with the same trouble the worst will do.
const maxFindings = 20

// Diagnose looks through the ledger for what costs connections, time or memory for no good reason: leaks, requests that queue, dials
// that a setting or a server makes necessary again and again. The worst comes first, and there are at most 20. It finds nothing in a
// healthy Transport. What is about rates it tells when there were 20 requests to an origin; leaks, waits that AcquireTimeout ended, bodies
// that were too large to absorb, and failed dials, of which there must be 5, before that. The wording may change between versions; figures
// and fields are for programs.
func (t *Transport) Diagnose() []Finding {
	c := t.core.Load()
	if c == nil {
		return nil
	}
	var found []weighed
	for name, o := range c.stats().Origins {
		for _, look := range []func(*Transport, Counts) weighed{leaking, queueing, churning, undialable, overflowing, retrying} {
			if w := look(c.settings, o); w.weight > 0 {
				w.Origin = name
				found = append(found, w)
			}
		}
	}
	slices.SortFunc(found, func(x, y weighed) int {
		return cmp.Or(cmp.Compare(y.weight, x.weight), strings.Compare(x.Origin, y.Origin), strings.Compare(x.Text, y.Text))
	})
	findings := make([]Finding, min(len(found), maxFindings))
	for i := range findings {
		findings[i] = found[i].Finding
	}
	return findings
}

// A weighed finding has how many requests or connections it is about; 0: there is none.
type weighed struct {
	Finding
	weight int64
}

// leaksFirst is more than any number of requests: leaks are mistakes, where the rest is a cost.
const leaksFirst = 1 << 60

// Below these nothing is said of rates.
const (
	leastRequests = 20
	leastEvents   = 5
)

func leaking(s *Transport, o Counts) (w weighed) {
	var kinds []string
	figures := map[string]int64{}
	for _, cause := range []LeakCause{Dropped, Forgotten, HungUp} {
		if n := o.Leaks[cause]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s", grouped(n), cause))
			figures["leaks: "+string(cause)] = n
			w.weight += n
		}
	}
	if w.weight == 0 {
		return w
	}
	w.Figures = figures
	w.Text = fmt.Sprintf("%s: %s", plural(w.weight, "response body was neither closed nor read to its end", "response bodies were neither closed nor read to their end"),
		strings.Join(kinds, ", "))
	if s.RecordStacks {
		w.Text += "; the log, or OnLeak, names the lines that made the requests"
	} else {
		w.Field = "RecordStacks"
		w.Text += "; with RecordStacks the log, or OnLeak, names the lines that made the requests, from the first leak on"
	}
	w.weight += leaksFirst
	return w
}

func queueing(s *Transport, o Counts) (w weighed) {
	if o.WaitTimeouts == 0 && (o.Waits < leastEvents || o.Requests < leastRequests || o.Waits*10 < o.Requests) {
		return w
	}
	limit := int64(s.MaxConnsPerHost)
	what, field := "a connection: MaxConnsPerHost is "+grouped(limit), "MaxConnsPerHost"
	switch {
	case limit <= 0, s.waitsForStreams() && o.Dials+o.DialErrors+int64(o.Dialing) < limit:
		what, field = "a stream: with StrictMaxConcurrentRequests no further connection is dialed", "HTTP2"
	case s.waitsForStreams():
		what += ", and with StrictMaxConcurrentRequests no second connection of HTTP/2 is dialed"
	}
	w.weight, w.Field = max(o.Waits, o.WaitTimeouts), field
	w.Figures = map[string]int64{"requests": o.Requests, "waits": o.Waits, "wait_timeouts": o.WaitTimeouts, "peak": o.Peak}
	w.Text = fmt.Sprintf("%s for %s; %s", plural(o.Waits, "request waited", "requests waited"), what, plural(o.Requests, "request began", "requests began"))
	if o.WaitTimeouts > 0 {
		w.Text += fmt.Sprintf("; AcquireTimeout (%v) ended %s", s.AcquireTimeout, plural(o.WaitTimeouts, "wait", "waits"))
	}
	return w
}

// churning finds connections that do not last: at least a tenth of the requests had to dial, and most of the closes have one reason.
func churning(s *Transport, o Counts) (w weighed) {
	var main pool.Reason
	var closed int64
	for why, n := range o.Closes {
		closed += n
		if most := o.Closes[main]; n > most || n == most && why < main {
			main = why
		}
	}
	n := o.Closes[main]
	if o.Requests < leastRequests || o.Dials*10 < o.Requests || n < leastEvents || n*2 < closed {
		return w
	}
	why, field := churnBy(s, main, o)
	if why == "" {
		return w
	}
	w.weight, w.Field = o.Dials, field
	w.Figures = map[string]int64{"requests": o.Requests, "dials": o.Dials, "closes": closed, "closes: " + string(main): n, "peak": o.Peak}
	w.Text = fmt.Sprintf("%s of %s requests dialed; %d %% of closes have the reason %q; %s",
		grouped(min(o.Dials, o.Requests)), grouped(o.Requests), n*100/closed, string(main), why)
	return w
}

// churnBy explains why connections are closed, and names the field that may change it. No explanation means that it is as it should be.
func churnBy(s *Transport, why pool.Reason, o Counts) (text, field string) {
	if s.DisableKeepAlives && (why == ReasonNoKeepAlive || why == pool.Evicted) { // evicted: where others speak on them
		return "DisableKeepAlives is true", "DisableKeepAlives"
	}
	switch why {
	case pool.Evicted:
		return evicting(s, o)
	case pool.IdleTimeout:
		if s.idleTimeout() < defaultIdleTimeout { // or who asks so seldom is served well enough
			return fmt.Sprintf("IdleConnTimeout is %v, and the next request comes later", s.idleTimeout()), "IdleConnTimeout"
		}
	case pool.Lifetime:
		return fmt.Sprintf("MaxConnLifetime is %v", s.MaxConnLifetime), "MaxConnLifetime"
	case pool.IdleClosed:
		return "the program calls CloseIdleConnections, or is short of descriptors", ""
	case pool.Unwanted:
		return "requests give up before their dial is done, and nobody else wants the connection", ""
	case ReasonPeerClosed, ReasonPeerReset, ReasonNearItsEnd:
		return "the server, or something on the way, ends connections before the next request comes", ""
	case ReasonNoKeepAlive:
		return "the server announces the end, by Connection: close, HTTP/1.0, a body that ends with the connection or GOAWAY, or the program's requests ask for it; " +
			"or it is doubtful where responses end", ""
	case ReasonUnread:
		return fmt.Sprintf("bodies are closed with more left than is drained: MaxDrainBytes is %s, DrainTimeout is %v", grouped(s.maxDrainBytes()), s.drainTimeout()), "MaxDrainBytes"
	case ReasonCancelled:
		if s.SalvageTimeout > 0 {
			return fmt.Sprintf("requests are cancelled or time out, and no response comes within SalvageTimeout (%v)", s.SalvageTimeout), "SalvageTimeout"
		}
		return "requests are cancelled or time out; SalvageTimeout would keep the connections on which the response comes soon after", "SalvageTimeout"
	case ReasonUnfinished:
		return "the server ends exchanges whose request bodies have yet to be sent", ""
	case ReasonFailed, ReasonUnsolicited, ReasonSilent:
		return "it is the server's doing, or the network's", ""
	}
	return "", ""
}

func evicting(s *Transport, o Counts) (text, field string) {
	all := s.MaxIdleConns
	switch perHost := s.maxIdlePerHost(); {
	case all < 0:
		return "MaxIdleConns is negative: no connection is kept", "MaxIdleConns"
	case perHost < 0:
		return "MaxIdleConnsPerHost is negative: no connection is kept", "MaxIdleConnsPerHost"
	case perHost > 0 && (all <= 0 || perHost <= all && o.Peak > int64(perHost)):
		return fmt.Sprintf("MaxIdleConnsPerHost is %s and up to %s ran at once", grouped(int64(perHost)), plural(o.Peak, "request", "requests")), "MaxIdleConnsPerHost"
	}
	return fmt.Sprintf("MaxIdleConns is %s for all hosts together, and up to %s ran at once to this one", grouped(int64(all)), plural(o.Peak, "request", "requests")), "MaxIdleConns"
}

func undialable(_ *Transport, o Counts) (w weighed) {
	if all := o.Dials + o.DialErrors; o.DialErrors >= leastEvents && o.DialErrors*10 >= all {
		w.weight = o.DialErrors
		w.Figures = map[string]int64{"dials": o.Dials, "dial_errors": o.DialErrors}
		w.Text = fmt.Sprintf("%s of %s dials failed", grouped(o.DialErrors), grouped(all))
	}
	return w
}

func overflowing(s *Transport, o Counts) (w weighed) {
	if o.Exceeded > 0 {
		w.weight, w.Field = o.Exceeded, "MaxAbsorbBytes"
		w.Figures = map[string]int64{"exceeded": o.Exceeded, "absorbed": o.Absorbed}
		w.Text = fmt.Sprintf("the server hung up behind %s with more left than MaxAbsorbBytes (%s), so that sockets waited in CLOSE_WAIT for their readers",
			plural(o.Exceeded, "open body", "open bodies"), grouped(s.maxAbsorbBytes()))
	}
	return w
}

func retrying(s *Transport, o Counts) (w weighed) {
	if o.Requests < leastRequests || o.Retries < leastEvents || o.Retries*20 < o.Requests {
		return w
	}
	w.weight = o.Retries
	w.Figures = map[string]int64{"requests": o.Requests, "retries": o.Retries}
	w.Text = fmt.Sprintf("%s of %s requests were sent again, ", grouped(o.Retries), grouped(o.Requests))
	ended := o.Closes[ReasonFailed] + o.Closes[ReasonPeerClosed] + o.Closes[ReasonPeerReset] + o.Closes[ReasonSilent]
	switch {
	case o.Retries > ended:
		w.Text += fmt.Sprintf("but only %s ended under requests: the server refuses some, by GOAWAY or REFUSED_STREAM, or ends connections of HTTP/2 under several",
			plural(ended, "connection", "connections"))
	case o.Retries > o.Reuses:
		w.Figures["reuses"] = o.Reuses
		w.Text += fmt.Sprintf("as their connection ended under them: new ones among them, since only %s had one that had served before; "+
			"it is the server's doing, or the network's", grouped(o.Reuses))
	default:
		w.Field = "IdleConnTimeout"
		now := "none"
		if limit := s.idleTimeout(); limit > 0 {
			now = limit.Round(time.Millisecond).String()
		}
		w.Text += fmt.Sprintf("as their connection ended under them: let IdleConnTimeout (%s) be shorter than what the server allows", now)
	}
	return w
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes 1000 as 1,000.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
