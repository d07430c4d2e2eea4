package statuspage

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// A Handler serves the status of a Transport. It is safe for concurrent use and must not be copied. It keeps what its requests have seen
// of the last ten minutes, and nothing else.
type Handler struct {
	// Transport is what is shown. Nil: every request is answered with status 500.
	Transport *transport.Transport

	mu      sync.Mutex // guards samples
	samples []sample   // the oldest first
}

var _ http.Handler = (*Handler)(nil)

// ServeHTTP answers GET and HEAD; see the package documentation for the forms.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	case h.Transport == nil:
		http.Error(w, "statuspage: Handler.Transport is nil", http.StatusInternalServerError)
	case r.URL.Query().Get("format") == "profile":
		head.Set("Content-Type", "application/octet-stream")
		head.Set("Content-Disposition", `attachment; filename="bodies.pb.gz"`)
		_ = h.Transport.WriteProfile(w) // or the client has left
	default:
		h.show(w, r)
	}
}

// show writes the status as JSON or HTML.
func (h *Handler) show(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	st := h.Transport.Stats()
	s := newStatus(h.Transport, st, h.record(sampleOf(now, st.Counts)), r.URL.Query(), now)
	var out bytes.Buffer
	var err error
	w.Header().Add("Vary", "Accept")
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		err = enc.Encode(s)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		err = page.Execute(&out, view{status: s, Refresh: r.URL.Query().Get("refresh") != "0", query: r.URL.Query()})
	}
	if err != nil {
		http.Error(w, "statuspage: "+err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = out.WriteTo(w)
}

func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return r.URL.Query().Get("format") == "json" || strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}
