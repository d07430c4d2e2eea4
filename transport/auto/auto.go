// Package auto installs a [transport.Transport] into [http.DefaultTransport] before main, for programs whose code you
// do not want to touch:
//
//	import _ "github.com/watertight-go/watertight/transport/auto"
//
// Everything that uses http.DefaultTransport, http.DefaultClient or http.Get then goes through it, with the settings
// that http.DefaultTransport has at the first request. Code that builds a transport of its own does not, nor does code that clones
// http.DefaultTransport. If the program has put something else in its place, that stays, and a warning is logged.
package auto

import (
	"log/slog"
	"net/http"

	"github.com/watertight-go/watertight/transport"
)

// Transport is the one that was installed: use it for Stats and OpenBodies, and for settings that http.DefaultTransport does not have. It is
// nil if none could be installed.
var Transport *transport.Transport

func init() {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		slog.Warn("transport/auto: http.DefaultTransport is not an *http.Transport; nothing is installed")
		return
	}
	var err error
	if Transport, err = transport.Install(t); err != nil {
		slog.Warn("transport/auto: nothing is installed", "error", err)
	}
}
