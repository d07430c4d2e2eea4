//go:build linux

package transport_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A fault is one misbehaviour at one moment of an exchange.
type fault struct {
	moment, name string
	sealed       uint16 // the version of TLS where the server makes its records itself; 0: crypto/tls makes them
	first        bool   // a request before it has used the connection
	upload       bool   // the request's body is 1 MiB
	beneath      badserver.Script
	http1, http2 badserver.Script // nil: the fault is none there
	struck       int              // how many steps of http1 it takes until an idle connection has suffered
	spoils       uint32           // and how many bytes of them
	proxy        badserver.Script // the proxy's, not the server's
	want         sight
	want2        sight  // over HTTP/2, where it differs
	says         string // in the error
}

var moments = []string{"handshake", "upload", "head", "body", "end", "idle", "between", "proxy"}

// A sight is what the caller sees.
type sight string

const (
	answered sight = "response"
	kept     sight = "response, and the connection goes on"
	again    sight = "response, sent again"
	failed   sight = "error"
	cut      sight = "error in the body"
	lost     sight = "error, in the body or before" // a reset may overtake what was sent before
)

// What a connection suffers, once a moment has come.
var (
	fin     = badserver.Script{badserver.FIN{}, badserver.Stall{}}
	closing = badserver.Script{badserver.Close{}}
	reset   = badserver.Script{badserver.RST{}}
	silence = badserver.Script{badserver.Stall{}}
	garbage = badserver.Script{badserver.Write("\x00\xff\x13garbage\r\n\r\n\xff\xfe"), badserver.Stall{}}
	flood   = badserver.Script{writes("flood"), badserver.Repeat{Script: badserver.Script{badserver.Write(strings.Repeat("flood", 1000))}}}
)

func trickle(s string) badserver.Script {
	return badserver.Script{badserver.Repeat{Script: badserver.Script{badserver.Trickle{Bytes: s, Gap: 2 * time.Millisecond}}}}
}

func after(script badserver.Script, then ...badserver.Step) badserver.Script {
	return append(script[:len(script):len(script)], then...)
}

func writes(s string) badserver.Write { return badserver.Write(s) }

const firstAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"

// The moments, as what the server does before them.
var (
	asked       = badserver.Script{badserver.ReadRequest{}}
	sending     = badserver.Script{badserver.ReadHead{}}
	inHead      = after(asked, writes("HTTP/1.1 200 OK\r\nContent-Le"))
	inBody      = after(asked, writes("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 50000)))
	inChunk     = after(asked, writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n"+strings.Repeat("x", 50000)))
	nearEnd     = after(asked, writes("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"+strings.Repeat("x", 49999)))
	beforeCRLF  = after(asked, writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n"+strings.Repeat("x", 50000)+"\r\n0\r\n"))
	idle        = after(asked, writes(firstAnswer))
	askedAgain  = after(idle, badserver.ReadRequest{})
	inHeadAgain = after(askedAgain, writes("HTTP/1.1 200 OK\r\nContent-Le"))
)

// faults are all of them, moment by moment.
func faults() (all []fault) {
	add := func(f fault) { all = append(all, f) }
	for _, f := range []struct {
		name string
		then badserver.Script
		says string
	}{
		{"FIN", fin, ""}, {"close", closing, ""}, {"reset", reset, ""}, {"silence", silence, ""}, {"garbage", garbage, ""}, {"flood", flood, ""},
		{"a TLS alert", badserver.Script{writes("\x15\x03\x03\x00\x02\x02\x28"), badserver.FIN{}, badserver.Stall{}}, ""},
		{"a TLS record too long", badserver.Script{writes("\x16\x03\x03\xff\xff"), badserver.Stall{}}, ""},
		{"TLS by the byte", after(badserver.Script{badserver.Read(1)}, trickle("\x16\x03\x03\x40\x00"+strings.Repeat("\x02", 1<<14))...), ""},
	} {
		add(fault{moment: "handshake", name: f.name, beneath: after(f.then, badserver.Close{}), want: failed, says: f.says})
	}
	for _, f := range []struct {
		name string
		then badserver.Script
	}{{"FIN", fin}, {"close", closing}, {"reset", reset}, {"silence", silence}, {"garbage", garbage}, {"flood", flood}} {
		head, body := f.then, f.then
		add(fault{moment: "upload", name: f.name, upload: true, http1: after(sending, head...), http2: after(asked2, body...), want: failed})
		add(fault{moment: "head", name: f.name, http1: after(asked, head...), http2: after(asked2, head...), want: failed})
		inside := failed
		if f.name == "flood" || f.name == "garbage" {
			continue
		}
		add(fault{moment: "head", name: f.name + " in the middle", http1: after(inHead, head...), http2: after(inHead2, head...), want: inside})
		for _, b := range []fault{
			{moment: "body", name: f.name, http1: after(inBody, body...), http2: after(inBody2, body...)},
			{moment: "body", name: f.name + " in a chunk", http1: after(inChunk, body...), http2: after(inFrame2, body...)},
			{moment: "end", name: f.name + " before the last byte", http1: after(nearEnd, body...), http2: after(nearEnd2, body...)},
			{moment: "end", name: f.name + " before the last line", http1: after(beforeCRLF, body...), http2: after(beforeEnd2, body...)},
		} {
			if b.want = cut; f.name == "reset" {
				b.want2 = lost
			}
			add(b)
		}
	}
	for _, f := range []struct {
		name string
		then badserver.Script
	}{{"FIN", fin}, {"close", closing}, {"reset", reset}, {"garbage", garbage}, {"flood", flood}} {
		add(fault{moment: "idle", name: f.name, first: true, struck: 3, http1: after(idle, f.then...), http2: after(idle2, f.then...), want: answered})
	}
	for _, f := range []struct {
		name string
		then badserver.Script
		want sight
	}{{"FIN", fin, again}, {"close", closing, again}, {"reset", reset, again}, {"silence", silence, failed}, {"garbage", garbage, failed}, {"flood", flood, failed}} {
		g := fault{moment: "between", name: f.name, first: true, http1: after(askedAgain, f.then...), http2: after(askedAgain2, f.then...), want: f.want}
		if f.want == failed {
			g.want2 = again // nothing has been said on the request's stream; where there is silence, a ping tells that the server is gone
		}
		add(g)
	}
	add(fault{moment: "between", name: "close in the head", first: true, http1: after(inHeadAgain, badserver.Close{}), http2: after(inHeadAgain2, badserver.Close{}), want: failed, want2: again})
	all = slices.Concat(all, lies(), recordFaults(), http2Faults(), proxyFaults())
	slices.SortStableFunc(all, func(f, g fault) int { return slices.Index(moments, f.moment) - slices.Index(moments, g.moment) })
	return all
}

// lies are responses that are not what they say.
func lies() (all []fault) {
	for _, f := range []struct {
		moment, name, raw string
		want              sight
		says              string
	}{
		{"head", "another protocol", "SSH-2.0-OpenSSH_9.2\r\n", failed, "status line"},
		{"head", "HTTP/2 unasked", "HTTP/2.0 200 OK\r\n\r\n", failed, "version"},
		{"head", "a NUL", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", failed, "control character"},
		{"head", "a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nfault", failed, "white space"},
		{"head", "endless fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), failed, "MaxResponseHeaderBytes"},
		{"head", "too many fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("A:\n", 10001) + "\r\n", failed, "more than 10000 fields"},
		{"head", "an endless line", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 100000), failed, "MaxResponseHeaderBytes"},
		{"head", "endless 1xx", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5000), failed, "MaxResponseHeaderBytes"},
		{"head", "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nfault!", failed, "Content-Length"},
		{"head", "a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nfault", failed, "Content-Length"},
		{"head", "a length beyond all bounds", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nfault", failed, "Content-Length"},
		{"head", "an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", failed, "Transfer-Encoding"},
		{"body", "a length too large", "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("x", 50000), cut, "unexpected EOF"},
		{"body", "a length too small", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfault and more", answered, ""},
		{"body", "a second response", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfaultHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", answered, ""},
		{"body", "its chunks twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("5\r\nfault\r\n0\r\n\r\n", 2), answered, ""},
		{"body", "a chunk size that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", cut, "chunk"},
		{"body", "a chunk size beyond all bounds", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", cut, "chunk"},
		{"body", "a chunk longer than it says", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfault\r\n0\r\n\r\n", cut, "chunk"},
		{"body", "an endless chunk extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("a", 100000), cut, "chunk"},
		{"body", "endless chunk extensions", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 200), cut, "chunk"},
		{"body", "gzip that is none", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nnot gzip, no", cut, "gzip"},
		{"body", "an end in place of a length", "HTTP/1.0 200 OK\r\n\r\nfault", answered, ""},
		{"end", "endless trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfault\r\n0\r\n" + strings.Repeat("A: b\r\n", 20000), cut, ""},
		{"end", "a trailer with a NUL", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfault\r\n0\r\nA: \x00\r\n\r\n", cut, ""},
	} {
		all = append(all, fault{moment: f.moment, name: f.name, http1: after(asked, writes(f.raw), badserver.FIN{}, badserver.Stall{}), want: f.want, says: f.says})
	}
	early := "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nfault"
	return append(all,
		fault{moment: "head", name: "by the byte, for ever", http1: after(asked, trickle("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("b", 50000))...),
			http2: after(asked2, trickle("\x00\x40\x00\x01\x00\x00\x00\x00\x01"+strings.Repeat("\x88", 1<<14))...), want: failed},
		fault{moment: "body", name: "by the byte, for ever", http1: after(asked, after(badserver.Script{writes("HTTP/1.1 200 OK\r\n\r\n")}, trickle("x")...)...),
			http2: after(inBody2, trickle("\x00\x00\x01\x00\x00\x00\x00\x00\x01x")...), want: cut},
		fault{moment: "upload", name: "an answer too early", upload: true, http1: after(sending, writes(early), badserver.Read(1<<20), badserver.Close{}),
			http2: frames(early2), want: answered},
		fault{moment: "upload", name: "an answer too early, and close", upload: true, http1: after(sending, writes(early), badserver.FIN{}, badserver.Stall{}),
			http2: after(speaks2(false, early2), fin...), want: answered},
		fault{moment: "idle", name: "a late 408", first: true, struck: 3, http1: after(idle, writes("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil"), badserver.FIN{}, badserver.Stall{}), want: answered},
		fault{moment: "idle", name: "half a response", first: true, struck: 3, http1: after(idle, writes("HTTP/1.1 200 OK\r\nContent-Le"), badserver.Stall{}), want: answered},
		fault{moment: "between", name: "with the first response a second", first: true, http1: after(asked, writes(firstAnswer+strings.Replace(firstAnswer, "first", "evil!", 1)), badserver.Stall{}), want: answered},
	)
}

// proxyFaults are those of a proxy that is asked for a tunnel.
func proxyFaults() (all []fault) {
	for _, f := range []struct {
		name string
		then badserver.Script
		says string
	}{
		{"FIN", fin, ""}, {"close", closing, ""}, {"reset", reset, ""}, {"silence", silence, ""}, {"garbage", garbage, ""}, {"flood", flood, ""},
		{"no", badserver.Script{writes("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), badserver.Stall{}}, "Forbidden"},
		{"yes, and then nothing", badserver.Script{writes("HTTP/1.1 200 OK\r\n\r\n"), badserver.Stall{}}, ""},
		{"yes, and then FIN", badserver.Script{writes("HTTP/1.1 200 OK\r\n\r\n"), badserver.FIN{}, badserver.Stall{}}, ""},
		{"yes, and a page", badserver.Script{writes("HTTP/1.1 200 OK\r\n\r\n<html>welcome</html>"), badserver.Stall{}}, ""},
		{"yes, twice", badserver.Script{writes(strings.Repeat("HTTP/1.1 200 OK\r\n\r\n", 2)), badserver.Stall{}}, "sent bytes after"},
		{"another protocol, with 101", badserver.Script{writes("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), badserver.Stall{}}, ""},
		{"another status of success", badserver.Script{writes("HTTP/1.1 204 No Content\r\n\r\n"), badserver.Stall{}}, "No Content"},
		{"who are you", badserver.Script{writes("HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"), badserver.Stall{}}, "Who are you"},
		{"endless 1xx", badserver.Script{writes(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5000)), badserver.Stall{}}, "MaxResponseHeaderBytes"},
		{"by the byte, for ever", trickle("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 50000)), ""},
		{"half an answer", badserver.Script{writes("HTTP/1.1 200 O"), badserver.FIN{}, badserver.Stall{}}, ""},
		{"an endless answer", badserver.Script{writes("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000)), badserver.Stall{}}, ""},
	} {
		all = append(all, fault{moment: "proxy", name: f.name, proxy: after(badserver.Script{badserver.ReadHead{}}, f.then...), want: failed, says: f.says})
	}
	return all
}

func (f fault) String() string { return fmt.Sprintf("%s, %s", f.moment, f.name) }
