//go:build linux

package soak_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

// Content is a body made from an id: each byte depends on the id and on where it stands, so that one of another body, one that is
// missing and one that came twice all show.
type content struct {
	id   uint64
	size int
	at   int
}

// word returns eight bytes of the content, those from 8*i on.
func word(id uint64, i int) uint64 {
	return bits.RotateLeft64((id+uint64(i))*0x9e3779b97f4a7c15, 29) * 0xbf58476d1ce4e5b9
}

// Read never fails.
func (c *content) Read(p []byte) (n int, err error) {
	if c.at == c.size {
		return 0, io.EOF
	}
	p = p[:min(len(p), c.size-c.at)]
	var eight [8]byte
	for n < len(p) {
		binary.LittleEndian.PutUint64(eight[:], word(c.id, c.at/8))
		m := copy(p[n:], eight[c.at%8:])
		n, c.at = n+m, c.at+m
	}
	return n, nil
}

// next reports whether p is what comes next of the content.
func (c *content) next(p []byte) bool {
	if len(p) > c.size-c.at {
		return false
	}
	var eight [8]byte
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(eight[:], word(c.id, c.at/8))
		m := min(8-c.at%8, len(p))
		if string(p[:m]) != string(eight[c.at%8:c.at%8+m]) {
			return false
		}
		p, c.at = p[m:], c.at+m
	}
	return true
}

// bytesOf returns the content of an id.
func bytesOf(id uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = io.ReadFull(&content{id: id, size: size}, b)
	return b
}

func sumOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) }
