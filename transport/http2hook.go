package transport

import (
	"context"
	"net/http/httptrace"
)

// An http2Hook hears from x/net that the head of a request has been written. It serves one exchange after the other, as what x/net wants
// for it is large: each until that was heard. Its trace never changes, and has no other hook, so that it does no harm that x/net keeps
// it for longer.
type http2Hook struct {
	trace    httptrace.ClientTrace
	exchange *http2Exchange // nil: none
}

// hookFor returns a hook for an exchange.
func (e *http2Engine) hookFor(x *http2Exchange) *http2Hook {
	h, ok := e.hooks.Get().(*http2Hook)
	if !ok {
		h = new(http2Hook)
		h.trace.WroteHeaders = h.wroteHead
	}
	h.exchange = x
	return h
}

func (h *http2Hook) wroteHead() {
	if x := h.exchange; x != nil {
		h.exchange = nil
		x.conn.core.http2.hooks.Put(h)
		x.wroteHead()
	}
}

// An http2Context is the context of a request as x/net has it: that of the attempt, and a hook. It is part of its exchange.
type http2Context struct {
	context.Context
	hook *http2Hook
}

// hooked is a context that has hooks: what it knows of a key tells who asks for them.
var hooked = httptrace.WithClientTrace(context.Background(), new(httptrace.ClientTrace))

// Value returns the hook to those who look for hooks.
func (c *http2Context) Value(key any) any {
	if _, ok := hooked.Value(key).(*httptrace.ClientTrace); ok {
		return &c.hook.trace
	}
	return c.Context.Value(key)
}

// context returns the context of the exchange's request. Hooks of the caller's are called after ours.
func (x *http2Exchange) context(a *attempt) context.Context {
	x.ctx.Context = a.ctx
	if a.trace != nil {
		return httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{WroteHeaders: x.wroteHead})
	}
	x.ctx.hook = x.conn.core.http2.hookFor(x)
	return &x.ctx
}
