// Package ecosystem shows, as tests that run, how other libraries are made to use a transport.Transport: one file per library, from which
// a user can copy. Each test ends with what the kernel says of its sockets, on Linux, and with a check that every body was closed.
//
// What was found out on the way stands in docs/ecosystem.md.
package ecosystem
