package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/proxy"

	"github.com/watertight-go/watertight/internal/http1"
)

// connectTimeout bounds a proxy's answer to CONNECT, so that a silent proxy does not hold a dial for ever.
const connectTimeout = time.Minute

func isSOCKS(u *url.URL) bool { return u.Scheme == "socks5" || u.Scheme == "socks5h" }

// proxyAuthorization returns the Basic credentials (RFC 7617) in a proxy's URL, "" if it has none.
func proxyAuthorization(u *url.URL) string {
	if u == nil || u.User == nil {
		return ""
	}
	password, _ := u.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
}

// socksConnect asks a SOCKS5 proxy (RFC 1928) at the other end of nc for a connection to addr. The proxy resolves the
// name.
func socksConnect(ctx context.Context, nc net.Conn, u *url.URL, addr string) error {
	var auth *proxy.Auth
	if u.User != nil {
		auth = &proxy.Auth{User: u.User.Username()}
		auth.Password, _ = u.User.Password()
	}
	d, err := proxy.SOCKS5("tcp", u.Host, auth, dialed{nc})
	if err != nil {
		return err
	}
	cd, ok := d.(proxy.ContextDialer)
	if !ok {
		return errors.New("transport: the SOCKS dialer takes no context")
	}
	// The dialer sets deadlines, which nc may not have.
	stop := context.AfterFunc(ctx, func() { http1.Interrupt(nc) })
	// What it returns is nc in a wrapper, which would only hide its descriptor.
	_, err = cd.DialContext(ctx, "tcp", addr)
	if !stop() || err != nil && ends(ctx) {
		return context.Cause(ctx)
	}
	return err
}

// dialed is a dialer that has dialed already.
type dialed struct{ nc net.Conn }

func (d dialed) Dial(_, _ string) (net.Conn, error) { return d.nc, nil }

func (d dialed) DialContext(context.Context, string, string) (net.Conn, error) { return d.nc, nil }

// connect asks an HTTP proxy at the other end of nc for a tunnel to the origin (RFC 9110 section 9.3.6).
func (c *core) connect(ctx context.Context, nc net.Conn, proxyURL *url.URL, r route) error {
	addr := r.addr()
	if !httpguts.ValidHostHeader(addr) {
		return errors.New("transport: invalid host for a request to a proxy: check Request.URL")
	}
	header, err := c.connectHeader(ctx, proxyURL, addr)
	if err != nil {
		return err
	}
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: header,
	}
	what := fmt.Sprintf("the answer of proxy %v to CONNECT %s", nc.RemoteAddr(), addr)
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, slowDialError{what, connectTimeout, context.DeadlineExceeded})
	defer cancel()
	ctx, done := c.tunnels.enter(ctx, r)
	defer done()
	stop := context.AfterFunc(ctx, func() { http1.Interrupt(nc) })
	resp, err := c.askTunnel(nc, req)
	if hook := c.settings.OnProxyConnectResponse; hook != nil && err == nil {
		err = hook(ctx, proxyURL, req, resp) // it may read the body of a refusal
	}
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("transport: proxy %v answered CONNECT %s with %.200s", nc.RemoteAddr(), addr, resp.Status)
	}
	return nil
}

// connectHeader returns the header of a CONNECT request; the caller's own is not changed.
func (c *core) connectHeader(ctx context.Context, proxyURL *url.URL, addr string) (http.Header, error) {
	header := c.settings.ProxyConnectHeader
	if get := c.settings.GetProxyConnectHeader; get != nil {
		var err error
		if header, err = get(ctx, proxyURL, addr); err != nil {
			return nil, err
		}
	}
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if auth := proxyAuthorization(proxyURL); auth != "" {
		header.Set("Proxy-Authorization", auth)
	}
	return header, nil
}

// askTunnel writes a CONNECT request and reads the head of its answer, which is bounded and parsed like any response's. Nothing
// may come after that head: in a tunnel the server speaks only when spoken to.
func (c *core) askTunnel(nc net.Conn, req *http.Request) (*http.Response, error) {
	if err := req.Write(nc); err != nil {
		return nil, err
	}
	limit := c.settings.MaxResponseHeaderBytes
	if limit <= 0 {
		limit = 10 << 20
	}
	resp, behind, err := readTunnelAnswer(nc, req, limit)
	if err != nil {
		return nil, fmt.Errorf("transport: reading the answer of proxy %v to CONNECT %s: %w", nc.RemoteAddr(), req.Host, err)
	}
	if resp.StatusCode == http.StatusOK && behind {
		return nil, fmt.Errorf("transport: proxy %v sent bytes after its answer to CONNECT %s", nc.RemoteAddr(), req.Host)
	}
	return resp, nil
}

// readTunnelAnswer reads the final response to a CONNECT, and reports whether anything was received behind its head.
func readTunnelAnswer(nc net.Conn, req *http.Request, limit int64) (_ *http.Response, behind bool, err error) {
	from := io.Reader(nc)
	for taken := int64(0); ; {
		head, rest, err := http1.ReadHead(from, limit, taken)
		if err != nil {
			return nil, false, err
		}
		taken += int64(len(head))
		from = io.MultiReader(bytes.NewReader(rest), from) // of which rest may be a part
		raw := bytes.Clone(head)
		resp := &http.Response{Request: req, Body: http.NoBody}
		if _, err := http1.ParseHead(head, resp, nil); err != nil {
			return nil, false, err
		}
		if code := resp.StatusCode; code/100 == 1 && code != http.StatusSwitchingProtocols {
			continue
		}
		if _, _, err := http1.ResponseFraming(http.MethodConnect, resp); err != nil {
			return nil, false, err
		}
		if resp.StatusCode/100 == 2 {
			return resp, len(rest) > 0, nil
		}
		// OnProxyConnectResponse may read the body of a refusal. What our parser takes net/http's takes as well.
		resp, err = http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(raw), io.LimitReader(from, limit-taken))), req)
		return resp, false, err
	}
}
