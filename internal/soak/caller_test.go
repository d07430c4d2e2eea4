//go:build linux

package soak_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// A caller sends requests one after the other, and is as careful with each as chance will have it.
type caller struct {
	*soak
	r *rand.Rand
}

// hanging is longer than anything takes that a caller does not wait for on purpose.
const hanging = 60 * time.Second

// A call is one request of a caller.
type call struct {
	*caller
	plan
	origin    *origin
	disturbed bool // by the caller
	forgotten bool // the body, whose request nobody ends before the round has
	req       *http.Request
	upload    *upload // nil: none
	want      content // of the response
	sum       string
}

// call makes one request and does something with the response.
func (c *caller) call(id uint64) {
	x := &call{caller: c, plan: randomPlan(c.r, id), origin: c.origins[c.r.IntN(len(c.origins))]}
	ctx, cancel := context.WithTimeout(context.Background(), hanging)
	defer func() {
		if x.forgotten {
			c.later(cancel)
		} else {
			cancel()
		}
	}()
	switch wait := time.Duration(c.r.IntN(5000)) * time.Microsecond; {
	case x.fault == stall || x.fault == stallBody:
		time.AfterFunc(4*wait, cancel)
		x.disturbed = true
	case c.r.IntN(10) == 0:
		time.AfterFunc(wait, cancel)
		x.disturbed = true
	}
	x.prepare(ctx)
	c.calls.Add(1)
	resp, err := x.send()
	if x.upload != nil {
		c.uploads.add(x.upload)
	}
	if err != nil {
		x.failed("no response", ctx, err)
		return
	}
	if resp.Header.Get(evilField) != "" {
		c.window.Add(1)
		_ = resp.Body.Close()
		return
	}
	if got := resp.Header.Get("Id"); got != strconv.FormatUint(id, 10) {
		c.wrong("%s: the response to %s: %v, %v", x, got, resp.Status, resp.Header)
	}
	if n := resp.Header.Get("Uploaded"); n != "-1" && n != strconv.Itoa(max(0, x.plan.upload)) {
		c.wrong("%s: %s bytes of the request arrived", x, n)
	}
	x.want, x.sum = content{id: id, size: x.size}, resp.Header.Get("Sum")
	if x.req.Method == http.MethodHead {
		x.want.size, x.sum = 0, "0"
	}
	x.finish(ctx, resp)
}

func (x *call) String() string {
	s := x.origin.name + " " + x.plan.String()
	if u := x.upload; u != nil {
		s += fmt.Sprintf(", %d of %d bytes up, by %d, each after %v, Expect %q", u.at, u.size, u.piece, u.gap, x.req.Header.Get("Expect"))
	}
	return s
}

// prepare makes the request.
func (x *call) prepare(ctx context.Context) {
	method := []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete}[weighted(x.r, 85, 8, 4, 3)]
	if x.plan.upload >= 0 {
		method = http.MethodPost
	}
	x.req, _ = http.NewRequestWithContext(ctx, method, x.origin.url, nil)
	x.req.Header.Set(planField, x.plan.String())
	x.req.Close = x.r.IntN(100) == 0
	if x.r.IntN(4) == 0 {
		x.req.Header.Set("Accept-Encoding", "identity")
	}
	if x.plan.upload < 0 {
		return
	}
	if !x.once {
		x.req.Header.Set("Idempotency-Key", "1")
	}
	if x.r.IntN(6) == 0 {
		x.req.Header.Set("Expect", "100-continue")
	}
	x.attach()
}

// attach gives the request a body.
func (x *call) attach() {
	n := int64(x.plan.upload)
	if x.r.IntN(3) == 0 { // in memory
		b := bytesOf(x.uploadID(), x.plan.upload)
		x.req.Body, x.req.ContentLength = io.NopCloser(bytes.NewReader(b)), n
		x.req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		return
	}
	u := &upload{content: content{id: x.uploadID(), size: x.plan.upload}, piece: 1 + x.r.IntN(40000), failAt: -1}
	x.upload = u
	x.req.Body, x.req.ContentLength = u, n
	if x.r.IntN(2) == 0 {
		x.req.ContentLength = -1
	}
	if x.r.IntN(2) == 0 {
		x.req.GetBody = func() (io.ReadCloser, error) {
			again := &upload{content: content{id: u.id, size: u.size}, piece: u.piece, failAt: u.failAt, gap: u.gap}
			x.uploads.add(again)
			return again, nil
		}
	}
	switch x.r.IntN(12) {
	case 0:
		u.failAt = x.r.IntN(u.size + 1)
		x.disturbed = true
	case 1:
		u.gap, u.piece = time.Duration(x.r.IntN(500))*time.Microsecond, u.piece+u.size/20
	case 2: // it says that it is longer than it is
		x.req.ContentLength = n + 1 + int64(x.r.IntN(20))
		x.disturbed = true
	}
}

// send is the RoundTrip.
func (x *call) send() (*http.Response, error) {
	began := time.Now()
	defer func() {
		if took := time.Since(began); took >= hanging {
			x.wrong("%s: RoundTrip took %v", x, took)
		}
	}()
	if x.r.IntN(8) > 0 {
		return x.tr.RoundTrip(x.req)
	}
	return (&http.Client{Transport: x.tr}).Do(x.req)
}

// failed judges an error.
func (x *call) failed(what string, ctx context.Context, err error) {
	x.failures.Add(1)
	var full *transport.AcquireError
	switch {
	case strings.Contains(err.Error(), "evil"):
		x.window.Add(1) // bytes that nobody asked for, between a probe and a request
	case ctx.Err() == context.DeadlineExceeded:
		x.wrong("%s: it hangs: %s: %v", x, what, err)
	case x.disturbed, errors.As(err, &full):
	case errors.Is(err, transport.ErrClosed):
		x.wrong("%s: %v", x, err)
	case x.strict():
		x.wrong("%s %s: %s: %v", x.req.Method, x, what, err)
	}
}

// strict reports whether the request must succeed, as nothing is wrong with it but what happens to others.
func (x *call) strict() bool {
	if !x.origin.steady || x.plan.upload >= 0 && (x.once || x.req.GetBody == nil) || x.req.Method == http.MethodDelete {
		return false
	}
	switch x.fault {
	case healthy, second, finAfter, sayClose:
		return true
	}
	return false
}

// errUpload is what a request body fails with.
var errUpload = errors.New("the upload failed")

// An upload is a request's body.
type upload struct {
	content
	piece  int
	failAt int // -1: it does not
	gap    time.Duration
	closed atomic.Int32
}

func (u *upload) Read(p []byte) (int, error) {
	if u.gap > 0 {
		time.Sleep(u.gap)
	}
	if u.failAt >= 0 && u.at >= u.failAt {
		return 0, errUpload
	}
	return u.content.Read(p[:min(len(p), u.piece)])
}

func (u *upload) Close() error {
	u.closed.Add(1)
	return nil
}

// finish does something with the body.
func (x *call) finish(ctx context.Context, resp *http.Response) {
	body := resp.Body
	switch some := x.r.IntN(x.want.size + 1); x.r.IntN(16) {
	case 0: // dropped, half read
		x.read(ctx, io.LimitReader(body, int64(some)), false)
		x.forget()
		return
	case 1: // dropped, unread
		x.forget()
		return
	case 2:
		_ = body.Close()
		return
	case 3, 4:
		x.read(ctx, io.LimitReader(body, int64(some)), false)
		_ = body.Close()
		return
	case 5: // closed beside its Reads
		x.disturbed = true
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range x.size % 64 {
				runtime.Gosched()
			}
			_ = body.Close()
		}()
		x.read(ctx, body, true)
		<-done
		return
	case 6: // slowly
		x.read(ctx, slowly{body}, true)
	case 7: // after a while
		time.Sleep(time.Duration(some%50) * time.Millisecond)
		x.read(ctx, body, true)
	case 8: // by somebody else
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.read(ctx, body, true)
		}()
		<-done
	case 9: // read whole, never closed
		x.read(ctx, body, true)
		x.forget()
		return
	default:
		x.read(ctx, body, true)
	}
	if x.r.IntN(50) == 0 {
		_ = body.Close()
	}
	_ = body.Close()
}

func (x *call) forget() {
	x.forgotten = true
	x.dropped.Add(1)
}

type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Microsecond)
	return s.Reader.Read(p[:min(len(p), 5000)])
}

// read compares a body with what it should be, to its end if it is whole.
func (x *call) read(ctx context.Context, body io.Reader, whole bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := body.Read(buf)
		if !x.want.next(buf[:n]) {
			x.wrong("%s: other bytes in the body, after %d, %d of them: %.60q", x, x.want.at, n, buf[:n])
			return
		}
		x.received.Add(int64(n))
		switch {
		case err == io.EOF && whole && x.want.at != x.want.size:
			x.wrong("%s: a body of %d ended after %d", x, x.want.size, x.want.at)
			return
		case err == io.EOF && whole && x.sum != strconv.FormatUint(uint64(sumOf(bytesOf(x.id, x.want.size))), 10):
			x.wrong("%s: the sum is not %s", x, x.sum)
			return
		case err == io.EOF:
			if whole {
				x.complete.Add(1)
			}
			return
		case err != nil:
			if !whole || errors.Is(err, http.ErrBodyReadAfterClose) {
				x.disturbed = true
			}
			x.failed("in the body", ctx, err)
			return
		}
	}
}
