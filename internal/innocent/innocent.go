// Package innocent has programs that do nothing wrong with a response's body, in all the ways that programs do: they close it or
// read it to its end. What blames or harms one of them is a false alarm.
package innocent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"
)

// Rows is the handler for Programs: it answers with 2,000 lines, slowly enough for collections to come in between.
func Rows(w http.ResponseWriter, _ *http.Request) {
	for i := range 2000 {
		fmt.Fprintf(w, `{"row": %d, "text": "some text that takes its place"}`+"\n", i)
		if i%200 == 0 {
			w.(http.Flusher).Flush()
			runtime.Gosched()
		}
	}
}

// Programs are the innocent, by name. Each returns all that it read, or "" if it did not want all.
var Programs = map[string]func(*http.Response) (got string, err error){
	"read all":                 readAll,
	"byte by byte":             byteByByte,
	"not closed after the end": toTheEnd,
	"in a structure":           inAStructure,
	"in another goroutine":     inAnotherGoroutine,
	"through a pipe":           throughAPipe,
	"tee":                      tee,
	"iterator":                 iterator,
	"half, and later the rest": halfAndLaterTheRest,
	"JSON":                     decoder,
	"closed early":             closedEarly,
	"one blocked Read":         oneRead,
}

func readAll(resp *http.Response) (string, error) {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	return string(b), resp.Body.Close()
}

func byteByByte(resp *http.Response) (string, error) {
	var got bytes.Buffer
	r := bufio.NewReaderSize(resp.Body, 16)
	for {
		c, err := r.ReadByte()
		if err == io.EOF {
			return got.String(), nil
		}
		if err != nil {
			return "", err
		}
		got.WriteByte(c)
	}
}

func toTheEnd(resp *http.Response) (string, error) {
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// A holder is a program's own structure around a body.
type holder struct {
	name string
	body io.ReadCloser
	next *holder
}

func inAStructure(resp *http.Response) (string, error) {
	h := &holder{name: "last", next: &holder{name: "first", body: resp.Body}}
	resp = nil
	time.Sleep(time.Millisecond) // while the collector runs
	b, err := io.ReadAll(h.next.body)
	if err != nil {
		return "", err
	}
	return string(b), h.next.body.Close()
}

func inAnotherGoroutine(resp *http.Response) (got string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = readAll(resp)
	}()
	<-done
	return got, err
}

func throughAPipe(resp *http.Response) (string, error) {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, resp.Body)
		_ = w.CloseWithError(err)
	}()
	b, err := io.ReadAll(r)
	return string(b), err
}

func tee(resp *http.Response) (string, error) {
	var got strings.Builder
	_, err := io.Copy(io.Discard, io.TeeReader(resp.Body, &got))
	return got.String(), err
}

// lines is an iterator over a body's lines.
func lines(body io.ReadCloser) func(func(string) bool) {
	return func(yield func(string) bool) {
		defer body.Close()
		for scanner := bufio.NewScanner(body); scanner.Scan(); {
			if !yield(scanner.Text()) {
				return
			}
		}
	}
}

func iterator(resp *http.Response) (string, error) {
	var got strings.Builder
	for line := range lines(resp.Body) {
		got.WriteString(line + "\n")
	}
	return got.String(), nil
}

func halfAndLaterTheRest(resp *http.Response) (string, error) {
	half := make([]byte, 30000)
	if _, err := io.ReadFull(resp.Body, half); err != nil {
		return "", err
	}
	time.Sleep(2 * time.Millisecond) // while the collector runs
	rest, err := readAll(resp)
	return string(half) + rest, err
}

func decoder(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	var got strings.Builder
	for d := json.NewDecoder(resp.Body); d.More(); {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return "", err
		}
		got.Write(append(v, '\n'))
	}
	return got.String(), nil
}

func closedEarly(resp *http.Response) (string, error) {
	if _, err := io.ReadFull(resp.Body, make([]byte, 100)); err != nil {
		return "", err
	}
	return "", resp.Body.Close()
}

// oneRead ends with the body's end, which ReadFull calls unexpected.
func oneRead(resp *http.Response) (string, error) {
	b := make([]byte, 1<<20)
	n, err := io.ReadFull(resp.Body, b)
	if err != io.ErrUnexpectedEOF {
		return "", fmt.Errorf("after %d bytes: %w", n, err)
	}
	return string(b[:n]), nil
}
