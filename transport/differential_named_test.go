package transport_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A difference is one that README or the documentation of internal/http1 names. Where it applies, explains checks that
// ours is as promised and makes net/http's outcome like it, in what the difference is about and nothing else.
type difference struct {
	name     string
	explains func(tr *trial, raw string, std, own *outcome) bool
}

var differences = []difference{
	{"a body behind Expect is not sniffed", func(tr *trial, _ string, std, own *outcome) bool {
		return tr.header.Get("Expect") != "" && joined(std.wire) == joined(own.wire) && level(&std.wire, own.wire)
	}},
	{"bytes behind a response end its connection", func(tr *trial, _ string, std, own *outcome) bool {
		return (tr.extra || tr.bodiless(own)) && !own.reused && level(&std.reused, false)
	}},
	{"a request that says close ends the connection", func(tr *trial, _ string, std, own *outcome) bool {
		return slices.Contains(tr.header["Connection"], "close") && !own.reused && level(&std.reused, false)
	}},
	{"an answer that is there when a large head has been written ends the connection", func(_ *trial, _ string, std, own *outcome) bool {
		return len(headOf(own.wire)) > 8000 && !own.reused && level(&std.reused, false)
	}},
	{"two framings end the connection", func(_ *trial, raw string, std, own *outcome) bool {
		return coded.MatchString(raw) && lengthy.MatchString(raw) && !own.reused && level(&std.reused, false)
	}},
	{"a head that others may read otherwise ends the connection", func(_ *trial, raw string, std, own *outcome) bool {
		return laxHead.MatchString(raw) && !own.reused && level(&std.reused, false)
	}},
	{"head refused", func(_ *trial, raw string, std, own *outcome) bool {
		return own.err == "malformed" && refusedHead.MatchString(raw) && level(std, refused(std, "malformed"))
	}},
	{"a cut head is an unexpected EOF", func(_ *trial, raw string, std, own *outcome) bool {
		return own.err == "unexpected EOF" && std.err == "malformed" && level(&std.err, own.err)
	}},
	{"fields are judged once the head is whole", func(_ *trial, raw string, std, own *outcome) bool {
		return own.err == "timeout" && std.err == "malformed" && level(&std.err, own.err)
	}},
	{"a cut trailer is an unexpected EOF", func(_ *trial, raw string, std, own *outcome) bool {
		return own.bodyErr == "unexpected EOF" && std.bodyErr == "malformed" && level(&std.bodyErr, own.bodyErr)
	}},
	{"a control character in a chunk extension", func(_ *trial, raw string, std, own *outcome) bool {
		if own.bodyErr != "malformed" || !refusedExtension.MatchString(raw) || !strings.HasPrefix(std.body, own.body) {
			return false
		}
		std.body, std.bodyErr, std.trailer, std.reused = own.body, own.bodyErr, own.trailer, own.reused
		return true
	}},
	{"framing fields stay out of trailers", func(_ *trial, raw string, std, own *outcome) bool {
		if std.trailer["Content-Length"] == nil {
			return false
		}
		std.trailer = std.trailer.Clone()
		delete(std.trailer, "Content-Length")
		if len(std.trailer) == 0 {
			std.trailer = nil
		}
		return true
	}},
}

var (
	coded   = regexp.MustCompile(`(?i)\ntransfer-encoding:`)
	lengthy = regexp.MustCompile(`(?i)\ncontent-length:`)
	// laxHead matches a line that a bare LF ends, and one that is folded.
	laxHead = regexp.MustCompile(`[^\r]\n|\n[ \t]`)
	// refusedHead matches what README says is refused in a head.
	refusedHead = regexp.MustCompile(`(?s)(^|\n)HTTP/([02-9]|1\.\d +[0+-])` + // version; status code
		`|(^|\n)HTTP/1[^\r\n]*([\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r[^\n])` + // reason phrase
		`|\n[^:\n]* :`) // field name
	// refusedExtension matches a chunk-size line with a control character behind its size.
	refusedExtension = regexp.MustCompile(`(?i)\n[0-9a-f]+;[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]`)

	chunkSize = regexp.MustCompile(`(?m)^[0-9a-f]+\r\n`)
)

// bodiless reports whether the response has no body, whatever follows its head.
func (t *trial) bodiless(o *outcome) bool {
	return t.method == http.MethodHead || strings.HasPrefix(o.status, "204") || strings.HasPrefix(o.status, "304")
}

// joined returns a request without the sizes of its chunks.
func joined(wire string) string {
	head, body, _ := strings.Cut(wire, "\r\n\r\n")
	return head + "\r\n\r\n" + strings.ReplaceAll(chunkSize.ReplaceAllString(body, ""), "\r\n", "")
}

// refused is the outcome of a response that is not accepted.
func refused(o *outcome, err string) outcome {
	return outcome{err: err, wire: o.wire, cause: o.cause}
}

func level[T any](std *T, own T) bool {
	*std = own
	return true
}
