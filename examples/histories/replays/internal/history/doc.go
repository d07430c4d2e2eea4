// Package history replays outages. A [History] is a program that plays one outage several times, with one HTTP client
// after the other, each in processes of its own, while it reads from the kernel what becomes of their sockets. Then it prints
// the figures side by side, draws the sockets over time, and says whether history repeated itself.
//
// The processes are the program itself, started again in another role: [Stage.Start]. They speak JSON lines on their standard
// streams and end with their standard input, so that none outlives who started it.
package history
