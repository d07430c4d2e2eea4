package transport

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A route is what makes two requests able to share a connection, and the key of the pool: the origin, the proxy on
// the way there, whether the connection must speak HTTP/1.1, and whether it may be authenticated.
type route struct {
	scheme string // "http" or "https"
	host   string // host, with a port unless it is the scheme's own; "" for any host behind an HTTP proxy
	proxy  string // the proxy's URL, credentials included; "" for none
	http1  bool   // must not negotiate HTTP/2
	bound  bool   // for requests whose credentials a server may take for those of their connection
}

// routeOf returns the route of a request.
func (c *core) routeOf(req *http.Request) (route, error) {
	r := route{scheme: req.URL.Scheme, host: originHost(req.URL), http1: wantsUpgrade(req), bound: bindsConnection(req.Header["Authorization"])}
	if c.settings.Proxy == nil {
		return r, nil
	}
	proxy, err := c.settings.Proxy(req)
	if err != nil || proxy == nil {
		return r, err
	}
	if scheme := proxyScheme(proxy); scheme != proxy.Scheme {
		named := *proxy
		named.Scheme = scheme
		proxy = &named
	}
	if err := checkProxy(proxy); err != nil {
		return route{}, err
	}
	r.proxy = proxy.String()
	if r.forwards() {
		if !r.bound {
			r.host = "" // a proxy may tie its connection to the origin to one that is bound (RFC 4559 section 6)
		}
		r.bound = r.bound || bindsConnection(req.Header["Proxy-Authorization"])
	}
	return r, nil
}

// bindsConnection reports whether credentials are of a scheme in which a server may take all that follows on the connection for the same
// user's: NTLM, and Negotiate, which is Kerberos or that (RFC 4559). Requests with such credentials share connections with each other,
// as their handshake needs, and with no other request, which would be answered in their user's name.
func bindsConnection(credentials []string) bool {
	for _, c := range credentials {
		scheme, _, _ := strings.Cut(c, " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}

// originHost returns the URL's host, in ASCII, and its port unless that is the scheme's own. It allocates only for
// hosts that need a change.
func originHost(u *url.URL) string {
	port := u.Port()
	if port != "" && port != defaultPort(u.Scheme) {
		if isASCII(u.Host) {
			return u.Host
		}
		return net.JoinHostPort(asciiHost(u), port)
	}
	name := asciiHost(u)
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func defaultPort(scheme string) string {
	switch scheme {
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return "80"
}

// addr returns the origin's address to dial, always with a port.
func (r route) addr() string { return withPort(r.host, r.scheme) }

// serverName returns the origin's host name without its port, for TLS.
func (r route) serverName() string {
	name, _, err := net.SplitHostPort(r.addr())
	if err != nil {
		return r.host
	}
	return name
}

// withPort adds the scheme's port to a host that has none.
func withPort(host, scheme string) string {
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":" + defaultPort(scheme)
}

// dialAddr returns the address of whoever is dialed: the origin, or its proxy.
func (r route) dialAddr() string {
	if proxy := r.proxyURL(); proxy != nil {
		return withPort(originHost(proxy), proxy.Scheme)
	}
	return r.addr()
}

// origin is how stats and errors name the route. It has no credentials.
func (r route) origin() string {
	if r.forwards() {
		proxy := r.proxyURL()
		return r.scheme + " through " + proxy.Scheme + "://" + proxy.Host
	}
	return r.scheme + "://" + r.host
}

// forwards reports whether requests go to an HTTP proxy that forwards them, absolute form in the request line.
func (r route) forwards() bool {
	return r.scheme == "http" && (strings.HasPrefix(r.proxy, "http://") || strings.HasPrefix(r.proxy, "https://"))
}

// beginsWithTLS reports whether it is TLS that is spoken with whoever is dialed, the origin or a proxy.
func (r route) beginsWithTLS() bool {
	if r.proxy != "" {
		return strings.HasPrefix(r.proxy, "https://")
	}
	return r.scheme == "https"
}

// isPlain reports whether the route is nothing but its origin: two plain routes never have the same one.
func (r route) isPlain() bool { return r.proxy == "" && !r.http1 && !r.bound }

// proxyURL returns the proxy, nil for none.
func (r route) proxyURL() *url.URL {
	if r.proxy == "" {
		return nil
	}
	u, err := url.Parse(r.proxy)
	if err != nil {
		return nil // not reached: it is a URL's own text
	}
	return u
}

// proxyScheme returns how to speak to a proxy. As with http.Transport, all that is no kind of proxy counts as HTTP: where the environment
// says tcp://host:port, that is what is meant.
func proxyScheme(u *url.URL) string {
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "https", "socks5", "socks5h":
		return scheme
	}
	return "http"
}

// checkProxy refuses a proxy whose URL, as text, would not be one.
func checkProxy(u *url.URL) error {
	if _, err := url.Parse(u.String()); err != nil {
		// The error would quote the URL with its credentials.
		return fmt.Errorf("transport: the proxy's URL is not valid as text: check its host, %q", u.Host)
	}
	return nil
}
