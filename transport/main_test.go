package transport_test

import (
	"bytes"
	"flag"
	"io"
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(withoutHandshakes{os.Stderr})
	_ = flag.Set("test.parallel", "16") // unless the command line says otherwise: parallel tests are those that wait most of the time
	goleak.VerifyTestMain(m,
		// The goroutine of an http.Client's Timeout waits for it where a body is never closed.
		goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"),
		// A server waits for half a second behind a request that it has not read, be it closed or not.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// withoutHandshakes drops what servers say of handshakes that their clients end, which many tests do a thousand times.
type withoutHandshakes struct{ io.Writer }

func (w withoutHandshakes) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("http: TLS handshake error")) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}
