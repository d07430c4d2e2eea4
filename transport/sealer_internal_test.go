//go:build linux

package transport

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Content types of TLS records (RFC 8446 section 5.1).
const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// Handshake messages that come after the handshake (RFC 8446 section 4.6).
const (
	messageTicket    = 4
	messageKeyUpdate = 24
)

// A sealer makes TLS 1.3 records as their server would, of any type and content: what crypto/tls itself never sends.
type sealer struct {
	secret []byte
	seal   cipher.AEAD
	iv     []byte
	seq    uint64
}

// newSealer takes the secret of the server's traffic out of a key log; nil if it is not there.
func newSealer(keyLog string, seq uint64) *sealer {
	for line := range bytes.Lines([]byte(keyLog)) {
		if words := bytes.Fields(line); len(words) == 3 && string(words[0]) == "SERVER_TRAFFIC_SECRET_0" {
			s := &sealer{}
			s.use(must(hex.DecodeString(string(words[2]))))
			s.seq = seq
			return s
		}
	}
	return nil
}

// use derives the keys of a secret (RFC 8446 section 7.3), for AES with 128 bits.
func (s *sealer) use(secret []byte) {
	s.secret, s.seq, s.iv = secret, 0, expand(secret, "iv", 12)
	s.seal = must(cipher.NewGCM(must(aes.NewCipher(expand(secret, "key", 16)))))
}

// update goes on to the next secret, as the sender does behind a key update (RFC 8446 section 7.2).
func (s *sealer) update() { s.use(expand(s.secret, "traffic upd", sha256.Size)) }

// record returns one record.
func (s *sealer) record(kind byte, content []byte) []byte {
	nonce := bytes.Clone(s.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, s.seq) {
		nonce[4+i] ^= b
	}
	s.seq++
	plain := append(bytes.Clone(content), kind)
	head := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(plain)+s.seal.Overhead()))
	return s.seal.Seal(head, nonce, plain, head)
}

// expand is HKDF-Expand-Label (RFC 8446 section 7.1) without a context.
func expand(secret []byte, label string, length int) []byte {
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(length)), byte(len(label)))
	info = append(append(info, label...), 0)
	return must(hkdf.Expand(sha256.New, secret, string(info), length))
}

// handshakeMessage returns a handshake message.
func handshakeMessage(kind byte, body []byte) []byte {
	return append([]byte{kind, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// ticket returns a NewSessionTicket (RFC 8446 section 4.6.1) for an hour.
func ticket(label []byte) []byte {
	body := append([]byte{0, 0, 14, 16, 1, 2, 3, 4, 1, 9}, byte(len(label)>>8), byte(len(label)))
	return handshakeMessage(messageTicket, append(append(body, label...), 0, 0))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
