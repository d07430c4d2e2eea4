// Package bench measures the transport beside net/http, fasthttp and hertz. It is a module of its own, so that they never reach users.
// Its README tells how to run it and what came out.
package bench
