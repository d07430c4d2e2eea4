//go:build linux

package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// messageHelloRequest asks the client of TLS 1.2 to renegotiate (RFC 5246 section 7.4.1.1).
const messageHelloRequest = 0

// A sealer12 makes TLS 1.2 records as their server would, of any type and content.
type sealer12 struct {
	seal cipher.AEAD
	salt []byte
	seq  uint64
}

// newSealer12 takes the master secret out of a key log, and derives the keys of the server for AES-GCM with 128 bits (RFC 5246 section 6.3,
// RFC 5288); nil if it is not there. The server's first record is its Finished.
func newSealer12(keyLog string, serverRandom []byte) *sealer12 {
	words := strings.Fields(keyLog)
	if len(words) != 3 || words[0] != "CLIENT_RANDOM" {
		return nil
	}
	clientRandom, master := must(hex.DecodeString(words[1])), must(hex.DecodeString(words[2]))
	keys := prf(master, slices.Concat([]byte("key expansion"), serverRandom, clientRandom), 40)
	return &sealer12{seal: must(cipher.NewGCM(must(aes.NewCipher(keys[16:32])))), salt: keys[36:40], seq: 1}
}

// prf is P_SHA256 (RFC 5246 section 5).
func prf(secret, seed []byte, length int) (out []byte) {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		_, _ = h.Write(slices.Concat(parts...))
		return h.Sum(nil)
	}
	for a := mac(seed); len(out) < length; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:length]
}

// record returns one record.
func (s *sealer12) record(kind byte, content []byte) []byte {
	seq := binary.BigEndian.AppendUint64(nil, s.seq)
	s.seq++
	meant := binary.BigEndian.AppendUint16(append(bytes.Clone(seq), kind, 3, 3), uint16(len(content)))
	head := binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(seq)+len(content)+s.seal.Overhead()))
	return s.seal.Seal(append(head, seq...), slices.Concat(s.salt, seq), content, meant)
}

// A SealedConn is a server's end of a TLS connection. It reads as crypto/tls does, and makes itself what it sends: so that it can send
// what crypto/tls does not, and when it does not.
type SealedConn struct {
	*tls.Conn
	wire *helloConn
	seal interface {
		record(kind byte, content []byte) []byte
	}
}

// A helloConn has what was written to it first.
type helloConn struct {
	heldConn
	hello []byte
}

func (c *helloConn) Write(p []byte) (int, error) {
	if c.hello == nil {
		c.hello = bytes.Clone(p)
	}
	return c.heldConn.Write(p)
}

// NewSealedConn shakes hands on nc as crypto/tls does, in a version of TLS.
func NewSealedConn(nc net.Conn, config *tls.Config, version uint16) (*SealedConn, error) {
	var keyLog strings.Builder
	config = config.Clone()
	config.KeyLogWriter, config.MinVersion, config.MaxVersion = &keyLog, version, version
	config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	config.SessionTicketsDisabled = true // they would be the first records
	c := &SealedConn{wire: &helloConn{heldConn: heldConn{Conn: nc}}}
	c.Conn = tls.Server(c.wire, config)
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	c.wire.holds = true
	if version == tls.VersionTLS12 {
		c.seal = newSealer12(keyLog.String(), c.wire.hello[11:43]) // behind the heads of record and message, and the version
	} else if s := newSealer(keyLog.String(), 0); s != nil && c.ConnectionState().CipherSuite == tls.TLS_AES_128_GCM_SHA256 {
		c.seal = s
	} else {
		return nil, errors.New("the sealer knows AES with 128 bits only")
	}
	return c, nil
}

// SkipUnlessSealable skips a test where crypto/tls prefers what the sealer does not know, as it does on processors without AES.
func SkipUnlessSealable(t testing.TB) { newIdleTLS(t, sealed13).close() }

// Write sends data.
func (c *SealedConn) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, 1<<14) {
		if err := c.send(recordData, piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

func (c *SealedConn) send(kind byte, content []byte) error {
	_, err := c.wire.Conn.Write(c.seal.record(kind, content))
	return err
}

// Alert sends an alert, which says nothing about what follows.
func (c *SealedConn) Alert(level, description byte) error {
	return c.send(recordAlert, []byte{level, description})
}

// Renegotiate asks for a handshake, in TLS 1.2.
func (c *SealedConn) Renegotiate() error {
	return c.send(recordHandshake, handshakeMessage(messageHelloRequest, nil))
}

// Ticket sends a session ticket, in TLS 1.3.
func (c *SealedConn) Ticket() error { return c.send(recordHandshake, ticket([]byte("ticket"))) }

// UpdateKey goes on to the next key, in TLS 1.3, and may ask the client to do so.
func (c *SealedConn) UpdateKey(asks bool) error {
	var body byte
	if asks {
		body = 1
	}
	err := c.send(recordHandshake, handshakeMessage(messageKeyUpdate, []byte{body}))
	c.seal.(*sealer).update()
	return err
}

// Close closes the connection beneath, without a word.
func (c *SealedConn) Close() error { return c.wire.Close() }
