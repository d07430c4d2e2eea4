package transport_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A socksProxy speaks SOCKS5 (RFC 1928, RFC 1929) and remembers what it was asked.
type socksProxy struct {
	net.Listener
	reply byte   // 0: succeeded
	to    string // where all connections lead; "": where they are asked for

	mu     sync.Mutex
	logins []string // "user:password"
	asked  []string // addresses
}

// startSOCKS starts a proxy whose connections all lead to an address, "" for where they are asked for.
func startSOCKS(t *testing.T, to string) *socksProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &socksProxy{Listener: l, to: to}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				p.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	return p
}

func (p *socksProxy) serve(c net.Conn) {
	if !p.greet(c) {
		return
	}
	addr, err := readSOCKSRequest(c)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, addr)
	p.mu.Unlock()
	_, _ = c.Write([]byte{5, p.reply, 0, 1, 0, 0, 0, 0, 0, 0})
	if p.reply != 0 {
		return
	}
	if p.to != "" {
		addr = p.to
	}
	target, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer target.Close()
	go func() {
		defer target.Close()
		_, _ = io.Copy(target, c)
	}()
	_, _ = io.Copy(c, target)
}

// greet agrees on a method, and takes any password.
func (p *socksProxy) greet(c net.Conn) bool {
	var b [255]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return false
	}
	methods := b[:b[1]]
	if _, err := io.ReadFull(c, methods); err != nil {
		return false
	}
	method := methods[len(methods)-1]
	if _, err := c.Write([]byte{5, method}); err != nil || method == 0 {
		return err == nil
	}
	user, err1 := readShort(c, 1)
	password, err2 := readShort(c, 0)
	p.mu.Lock()
	p.logins = append(p.logins, user+":"+password)
	p.mu.Unlock()
	_, err3 := c.Write([]byte{1, 0})
	return errors.Join(err1, err2, err3) == nil
}

// readShort skips some bytes and reads a string with its length in front.
func readShort(r io.Reader, skip int) (string, error) {
	head := make([]byte, skip+1)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	s := make([]byte, head[skip])
	_, err := io.ReadFull(r, s)
	return string(s), err
}

func readSOCKSRequest(r io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	var host string
	var err error
	switch head[3] {
	case 1:
		var ip [4]byte
		_, err = io.ReadFull(r, ip[:])
		host = netip.AddrFrom4(ip).String()
	case 3:
		host, err = readShort(r, 0)
	case 4:
		var ip [16]byte
		_, err = io.ReadFull(r, ip[:])
		host = netip.AddrFrom16(ip).String()
	}
	if err != nil {
		return "", err
	}
	var port [2]byte
	_, err = io.ReadFull(r, port[:])
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:])))), err
}

func (p *socksProxy) seen() (logins, asked []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.logins...), append([]string(nil), p.asked...)
}

// through makes a setting of the proxy.
func (p *socksProxy) through(scheme string, user *url.Userinfo) setting {
	u := &url.URL{Scheme: scheme, Host: p.Addr().String(), User: user}
	return func(tr *http.Transport) { tr.Proxy = http.ProxyURL(u) }
}

// A SOCKS5 proxy connects to http and https origins alike, is told the name to resolve itself, and gets the credentials in its
// URL; its connection is used again.
func TestSOCKSProxy(t *testing.T) {
	for _, scheme := range []string{"socks5", "socks5h"} {
		for _, user := range []*url.Userinfo{nil, url.UserPassword("me", "secret"), url.User("me")} {
			name := scheme
			if user != nil {
				name += " " + user.String()
			}
			t.Run(name, func(t *testing.T) {
				p := startSOCKS(t, "")
				everywhere(t, echo, func(s *story) {
					loginsBefore, askedBefore := p.seen()
					for range 2 {
						assert.Equal(s, "POST hello", s.read(s.send(s.request(http.MethodPost, "/", strings.NewReader("hello")))))
					}
					s.wantDials(1)
					logins, asked := p.seen()
					assert.Equal(s, []string{s.server.Listener.Addr().String()}, asked[len(askedBefore):])
					if user != nil {
						password, _ := user.Password()
						assert.Equal(s, []string{"me:" + password}, logins[len(loginsBefore):])
					} else {
						assert.Empty(s, logins)
					}
				}, p.through(scheme, user))
			})
		}
	}
}

// The proxy resolves names, in both schemes.
func TestSOCKSProxyResolves(t *testing.T) {
	p := startSOCKS(t, "")
	p.reply = 4 // host unreachable
	everywhere(t, echo, func(s *story) {
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Host = "name.invalid:1234"
		_, err := s.rt.RoundTrip(req)
		require.ErrorContains(s, err, "host unreachable")
		_, asked := p.seen()
		assert.Equal(s, "name.invalid:1234", asked[len(asked)-1])
		if s.ours != nil {
			s.eventually("no connection is left", func() bool { st := s.ours.Stats(); return st.Open+st.Dialing == 0 })
		}
	}, p.through("socks5", nil))
}
