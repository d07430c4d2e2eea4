//go:build linux

package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A heldConn keeps what is written to it, once it is told to.
type heldConn struct {
	net.Conn
	holds bool
	held  bytes.Buffer
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.holds {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline does nothing: crypto/tls lets nobody write behind its goodbye.
func (c *heldConn) SetWriteDeadline(time.Time) error { return nil }

// take returns what was kept.
func (c *heldConn) take() []byte {
	p := bytes.Clone(c.held.Bytes())
	c.held.Reset()
	return p
}

// An idleTLS is a connection of ours that is idle, with its server's end.
type idleTLS struct {
	hc     *http1Conn
	server *tls.Conn // its records are kept
	wire   *heldConn // beneath
	seal   *sealer   // nil where the server makes all records
}

// The ways in which an idleTLS is made.
const (
	sealed13 = iota
	sealed13Tickets
	real13Tickets
	real12
	tlsWays
)

var testCertificate = func() tls.Certificate {
	_, key, _ := ed25519.GenerateKey(nil)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"origin.example"}}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(nil, template, template, key.Public(), key))}, PrivateKey: key}
}()

// newIdleTLS shakes hands over a pair of sockets in the kernel.
func newIdleTLS(t testing.TB, way int) *idleTLS {
	var keyLog strings.Builder
	client := &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}
	server := &tls.Config{Certificates: []tls.Certificate{testCertificate}, KeyLogWriter: &keyLog}
	if way == sealed13Tickets || way == real13Tickets {
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1) // or there is no ticket
	}
	if way == real12 {
		client.MaxVersion = tls.VersionTLS12
	}
	ours, theirs := socketPair(t)
	x := &idleTLS{wire: &heldConn{Conn: theirs}}
	x.server = tls.Server(x.wire, server)
	shaken := make(chan error, 1)
	go func() { shaken <- x.server.Handshake() }()
	c := &core{settings: &Transport{}, tls: tlsConfigs{base: client}}
	nc, err := c.handshake(context.Background(), ours, "origin.example", true)
	require.NoError(t, err)
	require.NoError(t, <-shaken)
	x.wire.holds = true
	x.hc = &http1Conn{account: &account{core: c}}
	x.hc.h.Init(nc, x.hc)
	if way == sealed13 || way == sealed13Tickets {
		if nc.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
			t.Skip("the sealer knows AES with 128 bits only")
		}
		x.seal = newSealer(keyLog.String(), uint64(way)) // a ticket is the first record
		require.NotNil(t, x.seal)
	}
	return x
}

func socketPair(t testing.TB) (a, b net.Conn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		ends[i], err = net.FileConn(file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	return ends[0], ends[1]
}

func (x *idleTLS) close() {
	_ = x.hc.sock().Close()
	_ = x.wire.Close()
}

// What a look must say of what has arrived.
type tlsVerdict int

const (
	fine   tlsVerdict = iota // TLS's own business
	either                   // what no server sends, and crypto/tls may take or refuse
	over                     // data, or an end: the connection is of no use
)

// The deeds of a server on an idle connection.
const (
	sendsData = iota
	sendsTicket
	sendsKeyUpdate
	sendsAlert
	sendsRecord
	saysGoodbye
	sendsRaw
	sendsFIN
	splitsTicket
	tlsDeeds
)

// A tlsScript reads deeds, and what they are done with, from bytes.
type tlsScript struct {
	left  []byte
	dull  int  // records that bring no data
	blind bool // nobody knows where the next record begins
}

func (s *tlsScript) next() (deed byte, with []byte, ok bool) {
	if len(s.left) < 2 {
		return 0, nil, false
	}
	deed, n := s.left[0]%tlsDeeds, min(int(s.left[1]), len(s.left)-2)
	with = s.left[2 : 2+n]
	s.left = s.left[2+n:]
	return deed, with, true
}

// do returns what the server sends, and what is to be said of a connection on which that arrived, and was fine before.
func (s *tlsScript) do(x *idleTLS, deed byte, with []byte) ([]byte, tlsVerdict) {
	switch deed {
	case sendsRaw:
		s.blind = s.blind || len(with) > 0
		return with, either
	case saysGoodbye:
		return s.alert(x, []byte{1, 0})
	case sendsData:
		if x.seal == nil {
			_, _ = x.server.Write(with)
			return x.wire.take(), s.judge(recordData, with)
		}
		return x.seal.record(recordData, with), s.judge(recordData, with)
	}
	if x.seal == nil {
		return nil, fine // nothing that the server of crypto/tls does
	}
	switch deed {
	case sendsTicket:
		return x.seal.record(recordHandshake, ticket(append(with, 1))), s.another()
	case splitsTicket:
		whole := ticket(append(with, 1))
		cut := 1 + len(with)%(len(whole)-1)
		return append(x.seal.record(recordHandshake, whole[:cut]), x.seal.record(recordHandshake, whole[cut:])...), s.another()
	case sendsKeyUpdate:
		p := x.seal.record(recordHandshake, handshakeMessage(messageKeyUpdate, []byte{byte(len(with)) & 1}))
		x.seal.update()
		return p, s.another()
	case sendsAlert:
		return s.alert(x, with)
	}
	if len(with) == 0 {
		return nil, fine
	}
	return x.seal.record(with[0], with[1:]), s.judge(with[0], with[1:])
}

func (s *tlsScript) alert(x *idleTLS, with []byte) ([]byte, tlsVerdict) {
	if x.seal != nil {
		return x.seal.record(recordAlert, with), s.judge(recordAlert, with)
	}
	if !bytes.Equal(with, []byte{1, 0}) || x.server.CloseWrite() != nil {
		return nil, fine
	}
	return x.wire.take(), over
}

// judge says what a record is.
func (s *tlsScript) judge(kind byte, content []byte) tlsVerdict {
	switch {
	case kind == recordData && len(content) > 0:
		return over
	case kind == recordAlert && len(content) == 2 && content[1] == 90: // user_canceled, which some send before they go on
	case kind == recordAlert && len(content) == 2:
		return over
	case kind != recordData:
		return either // a message that is none, a type that there is not
	}
	return s.another()
}

// another says what one more record is that brings no data. Of those crypto/tls takes 16 between two that do, so that no look, and no
// answer to key updates, goes on for ever; the handshake may have had one.
func (s *tlsScript) another() tlsVerdict {
	if s.dull++; s.dull > 15 {
		return either
	}
	return fine
}

// tlsScripts returns what to begin with.
func tlsScripts() []string {
	data, goodbye := "\x00\x05hello", "\x05\x00"
	return []string{
		"", data, "\x00\x00", "\x01\x03abc", "\x02\x00", "\x02\x01x", "\x02\x01x\x01\x00\x02\x00\x01\x00", "\x02\x00" + data, "\x01\x00" + data, goodbye, "\x01\x00" + goodbye, "\x03\x02\x02\x28",
		"\x03\x02\x01\x5a", "\x03\x01\x00", "\x04\x02\x16\x04", "\x04\x02\x16\x04" + data, "\x04\x05\x16\x18\x00\x00\x01", "\x04\x01\x17", "\x04\x04\x15\x01\x00\x00", "\x04\x06\x99hello",
		"\x06\x09HTTP/1.1 ", "\x06\x05\x17\x03\x03\x00\x20", "\x06\x05\x17\x03\x03\x00\x20" + data, "\x06\x06\x14\x03\x03\x00\x01\x01", "\x07\x00", "\x01\x00\x07\x00", "\x06\x03\x17\x03\x03\x07\x00",
		"\x08\x00", "\x08\x1eabcdefghijklmnopqrstuvwxyz0123", "\x08\x00" + goodbye, strings.Repeat("\x00\x00", 17), strings.Repeat("\x01\x00", 40), strings.Repeat("\x02\x00", 40),
	}
}

// FuzzTLSLook has a server send records on an idle connection: real ones of crypto/tls, any that its keys can seal, and bytes that are none,
// in pieces. A look never takes data or an end for TLS's own business, whatever came before, and never the latter for the former.
func FuzzTLSLook(f *testing.F) {
	for _, script := range tlsScripts() {
		for way := range tlsWays {
			f.Add(byte(way), []byte(script), uint8(7))
		}
	}
	f.Fuzz(func(t *testing.T, way byte, script []byte, cut uint8) {
		if len(script) > 4000 {
			return
		}
		x := newIdleTLS(t, int(way%tlsWays))
		defer x.close()
		require.NoError(t, x.hc.look(), "tickets of the handshake")
		s := tlsScript{left: script}
		for state := fine; ; {
			deed, with, ok := s.next()
			if !ok {
				break
			}
			if deed == sendsFIN {
				require.NoError(t, x.wire.Conn.(*net.UnixConn).CloseWrite())
				require.Error(t, x.hc.look(), "after the end")
				return
			}
			p, verdict := s.do(x, deed, with)
			switch {
			case s.blind:
				state = either // who knows whether a record begins here
			case verdict > state:
				state = verdict
			}
			if !x.arrives(t, p, int(cut), state) {
				return
			}
		}
	})
}

// arrives has bytes arrive in two pieces, looks behind each, and reports whether the connection is to be used.
func (x *idleTLS) arrives(t *testing.T, p []byte, cut int, state tlsVerdict) bool {
	cut = min(cut, len(p))
	for i, piece := range [][]byte{p[:cut], p[cut:]} {
		_, err := x.wire.Conn.Write(piece)
		require.NoError(t, err)
		switch err := x.hc.look(); {
		case err != nil:
			assert.NotEqual(t, fine, state, "%v", err)
			return false
		case i == 1:
			require.NotEqual(t, over, state, "data or an end, and nothing was seen")
		}
	}
	return true
}
