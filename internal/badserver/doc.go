// Package badserver has servers that misbehave on purpose. What one does on a connection is a [Script], a list of
// [Step] values played one after the other:
//
//	badserver.Start(t, badserver.Script{
//		badserver.ReadRequest{},
//		badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"),
//		badserver.FIN{},
//	})
//
// A server ends with its test and leaves no goroutine.
//
// It is internal: what a program's tests need of a bad server is a handler, and httptest has that; see package leaktest.
package badserver
