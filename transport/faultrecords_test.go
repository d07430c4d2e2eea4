//go:build linux

package transport_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// sends sends records that crypto/tls would not, or not then.
func sends(records ...func(*transport.SealedConn) error) badserver.Func {
	return func(c net.Conn) error {
		for _, send := range records {
			if err := send(c.(*transport.SealedConn)); err != nil {
				return err
			}
		}
		return nil
	}
}

var (
	renegotiates = sends((*transport.SealedConn).Renegotiate)
	fatalAlert   = sends(func(c *transport.SealedConn) error { return c.Alert(2, 80) }) // internal_error
	goodbye      = sends(func(c *transport.SealedConn) error { return c.Alert(1, 0) })  // close_notify
	tickets      = sends((*transport.SealedConn).Ticket, (*transport.SealedConn).Ticket)
	newKeys      = sends(updatesKey, asksForKey, updatesKey)
	endlessKeys  = badserver.Repeat{Times: 100, Script: badserver.Script{sends(updatesKey)}}
)

func updatesKey(c *transport.SealedConn) error { return c.UpdateKey(false) }
func asksForKey(c *transport.SealedConn) error { return c.UpdateKey(true) }

// recordFaults are those of a server that sends TLS records at moments at which they are not expected. Some are TLS's own business.
func recordFaults() (all []fault) {
	const version12, version13 = tls.VersionTLS12, tls.VersionTLS13
	for _, f := range []struct {
		version uint16
		name    string
		deed    badserver.Step
		says    string
		spoils  uint32
	}{
		{version12, "a request to renegotiate", renegotiates, "no renegotiation", 1},
		{version12, "a fatal alert of TLS 1.2", fatalAlert, "remote error: tls: internal error", 1},
		{version13, "a fatal alert", fatalAlert, "remote error: tls: internal error", 1},
		{version13, "close_notify", goodbye, "EOF", 1},
		{version13, "endless key updates", endlessKeys, "too many", 20 * 27}, // so many records of 27 bytes
	} {
		then := badserver.Script{f.deed, badserver.Stall{}}
		half := fault{name: f.name, sealed: f.version, says: f.says, spoils: f.spoils}
		head, body, idling := half, half, half
		head.moment, head.http1, head.http2, head.want = "head", after(inHead, then...), after(asked2, then...), failed
		body.moment, body.http1, body.http2, body.want = "body", after(inBody, then...), after(inBody2, then...), cut
		idling.moment, idling.http1, idling.http2, idling.want, idling.first, idling.struck, idling.says = "idle", after(idle, then...), after(idle2, then...), answered, true, 3, ""
		between := half
		between.moment, between.http1, between.http2, between.want, between.first, between.says = "between", after(askedAgain, then...), after(askedAgain2, then...), again, true, ""
		all = append(all, head, body, idling, between)
	}
	for _, f := range []struct {
		name string
		deed badserver.Step
	}{{"session tickets", tickets}, {"key updates", newKeys}} {
		next := badserver.Script{badserver.ReadRequest{}, writes(response("next")), badserver.Stall{}}
		head, body, _ := strings.Cut(response("fault"), "au")
		all = append(all,
			fault{moment: "head", name: f.name, sealed: version13, want: kept,
				http1: after(asked, after(badserver.Script{writes(head[:20]), f.deed, writes(head[20:] + "au" + body)}, next...)...),
				http2: around2(nothing2, f.deed, whole2)},
			fault{moment: "body", name: f.name, sealed: version13, want: kept,
				http1: after(asked, after(badserver.Script{writes(head), f.deed, writes("au" + body)}, next...)...),
				http2: around2(half2, f.deed, func(f *badserver.Frames, stream uint32) error { return f.WriteData(stream, true, []byte("ult")) })},
			fault{moment: "idle", name: f.name, sealed: version13, want: kept, first: true, struck: 3,
				http1: after(idle, after(badserver.Script{f.deed, badserver.ReadRequest{}, writes(response("fault"))}, next...)...),
				http2: around2(first2, f.deed, nothing2)},
		)
	}
	return all
}

func response(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func nothing2(*badserver.Frames, uint32) error { return nil }

func half2(f *badserver.Frames, stream uint32) error {
	return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, false, []byte("fa")))
}

func first2(f *badserver.Frames, stream uint32) error {
	return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, true, []byte("first")))
}
