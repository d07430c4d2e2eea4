//go:build linux

package transport_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A framing is a response that says where it ends, in a way that two recipients may understand differently.
type framing struct {
	kind, name string
	method     string // "": GET
	raw        string // what the server sends; evil behind it stands for what an attacker would have taken for the next response
	end        bool   // and then FIN
	rule       string // what it is judged by: a section of RFC 9112, unless it names another
	body       string // what the caller reads
	refused    string // what its error says instead
	reused     bool   // whether the connection serves another request
}

const (
	okLine = "HTTP/1.1 200 OK\r\n"
	// evil is a response that nobody asked for.
	evil = okLine + "Content-Length: 4\r\n\r\nevil"
	five = "5\r\nhello\r\n0\r\n\r\n"
)

// framings are all of them.
func framings() []framing {
	return slices.Concat(lengths(), codings(), chunkFramings(), trailerFramings(), emptyFramings(), headFramings())
}

// whole is a response that is read, with or without another on its connection.
func whole(kind, name, raw, rule string, reused bool) framing {
	return framing{kind: kind, name: name, raw: raw, rule: rule, body: "hello", reused: reused}
}

// toTheEnd is one that its connection ends.
func toTheEnd(kind, name, raw, rule string) framing {
	return framing{kind: kind, name: name, raw: raw, end: true, rule: rule, body: "hello"}
}

// refusal is one that is not read, or not to its end.
func refusal(kind, name, raw, rule, says string) framing {
	return framing{kind: kind, name: name, raw: raw, rule: rule, refused: says}
}

const again1, never = true, false // whether a connection is reused

func lengths() (all []framing) {
	const kind = "length"
	field := func(fields string) string { return okLine + fields + "\r\n\r\nhello" }
	all = []framing{
		whole(kind, "plain", field("Content-Length: 5"), "6.3", again1),
		whole(kind, "twice the same", field("Content-Length: 5\r\nContent-Length: 5"), "6.3", again1),
		whole(kind, "leading zeros", field("Content-Length: 0005"), "RFC 9110 8.6", again1),
		whole(kind, "tabs around", field("Content-Length:\t5\t"), "5.1", again1),
		whole(kind, "and bytes behind it", field("Content-Length: 5")+evil, "6.3", never),
		whole(kind, "folded", field("Content-Length:\r\n 5"), "5.2", never),
		whole(kind, "and another in a fold", field("Content-Length: 5\r\nX: y\r\n Content-Length: 2"), "5.2", never),
		whole(kind, "behind a bare LF", field("X: y\nContent-Length: 5"), "2.2", never),
		whole(kind, "all lines end with LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "2.2", never),
		whole(kind, "an empty line of LF", okLine+"Content-Length: 5\r\n\nhello", "2.2", never),
		toTheEnd(kind, "none", field("X: y"), "6.3"),
		toTheEnd(kind, "with an underscore in the name", field("Content_Length: 3"), "6.3"),
		toTheEnd(kind, "with a space in the name", field("Content Length: 3"), "RFC 9110 5.1"),
		refusal(kind, "two that differ", field("Content-Length: 5\r\nContent-Length: 4"), "6.3", "differ"),
		refusal(kind, "two spellings", field("Content-Length: 5\r\nContent-Length: 05"), "6.3", "differ"),
		refusal(kind, "a list of equal ones", field("Content-Length: 5, 5"), "6.3", "Content-Length"),
		refusal(kind, "a list", field("Content-Length: 5, 4"), "6.3", "Content-Length"),
		refusal(kind, "behind a bare CR", field("X: y\rContent-Length: 5"), "2.2", "control character"),
		refusal(kind, "a space before the colon", field("Content-Length : 5"), "5.1", "white space"),
		refusal(kind, "a tab before the colon", field("Content-Length\t: 5"), "5.1", "field name"),
		refusal(kind, "white space before the first name", field(" Content-Length: 5"), "2.2", "white space"),
		{kind: kind, name: "more than there is", raw: field("Content-Length: 6"), end: true, rule: "8", refused: "unexpected EOF"},
		{kind: kind, name: "2⁶³-1, and the end", raw: field("Content-Length: 9223372036854775807"), end: true, rule: "8", refused: "unexpected EOF"},
	}
	for _, f := range []struct{ name, value string }{
		{"empty", ""}, {"plus", "+5"}, {"minus", "-5"}, {"hexadecimal", "0x5"}, {"a fraction", "5.0"}, {"an exponent", "5e0"}, {"an underscore", "0_5"},
		{"a space inside", "0 5"}, {"folded inside", "0\r\n 5"}, {"quoted", `"5"`}, {"a parameter", "5;q=1"}, {"a comma behind", "5,"}, {"other digits", "５"},
		{"2⁶³", "9223372036854775808"}, {"2⁶⁴+5", "18446744073709551621"}, {"forty digits", strings.Repeat("0", 39) + "x"},
	} {
		all = append(all, refusal(kind, f.name, field("Content-Length: "+f.value), "RFC 9110 8.6", "Content-Length"))
	}
	for _, c := range []struct{ name, char string }{{"NUL", "\x00"}, {"vertical tab", "\x0b"}, {"form feed", "\x0c"}, {"DEL", "\x7f"}} {
		all = append(all, refusal(kind, c.name+" behind", field("Content-Length: 5"+c.char), "RFC 9110 5.5", "control character"))
	}
	return all
}

func codings() (all []framing) {
	const kind = "coding"
	field := func(fields string) string { return okLine + fields + "\r\n\r\n" + five }
	all = []framing{
		whole(kind, "plain", field("Transfer-Encoding: chunked"), "6.1", again1),
		whole(kind, "in other case", field("transfer-ENCODING: ChUnKeD"), "RFC 9110 5.1, 7", again1),
		whole(kind, "tabs around", field("Transfer-Encoding:\tchunked\t"), "5.1", again1),
		whole(kind, "before a length (TE.CL)", field("Transfer-Encoding: chunked\r\nContent-Length: 3"), "6.3", never),
		whole(kind, "behind a length (CL.TE)", field("Content-Length: 3\r\nTransfer-Encoding: chunked"), "6.3", never),
		whole(kind, "and a length of 0, a response behind", field("Content-Length: 0\r\nTransfer-Encoding: chunked")+evil, "6.3", never),
		whole(kind, "folded", field("Transfer-Encoding:\r\n chunked"), "5.2", never),
		whole(kind, "behind a bare LF", field("X: y\nTransfer-Encoding: chunked"), "2.2", never),
		{kind: kind, name: "and a length, in a fold", raw: field("Content-Length: 15\r\nX: y\r\n Transfer-Encoding: chunked"), rule: "5.2", body: five},
		{kind: kind, name: "with an underscore in the name, and a length", raw: field("Content-Length: 15\r\nTransfer_Encoding: chunked"), rule: "6.3", body: five, reused: true},
		{kind: kind, name: "in HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + five, end: true, rule: "6.1", body: five},
		{kind: kind, name: "in HTTP/1.0, and a length", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n" + five,
			rule: "6.1", body: five},
		refusal(kind, "two fields", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), "7", "2 Transfer-Encoding"),
		refusal(kind, "two fields, one of them another", field("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"), "7", "2 Transfer-Encoding"),
		refusal(kind, "a space before the colon", field("Transfer-Encoding : chunked"), "5.1", "white space"),
		refusal(kind, "a vertical tab before the colon", field("Transfer-Encoding\x0b: chunked"), "5.1", "field name"),
		refusal(kind, "behind a bare CR", field("X: y\rTransfer-Encoding: chunked"), "2.2", "control character"),
		refusal(kind, "a vertical tab before the value", field("Transfer-Encoding: \x0bchunked"), "RFC 9110 5.5", "control character"),
		refusal(kind, "NUL behind the value", field("Transfer-Encoding: chunked\x00"), "RFC 9110 5.5", "control character"),
		refusal(kind, "another one in HTTP/1.1, and a length", field("Transfer-Encoding: x\r\nContent-Length: 15"), "6.3", "other than chunked"),
	}
	for _, f := range []struct{ name, value string }{
		{"empty", ""}, {"identity", "identity"}, {"gzip", "gzip"}, {"gzip, then chunked", "gzip, chunked"}, {"chunked, then gzip", "chunked, gzip"},
		{"identity, then chunked", "identity, chunked"}, {"twice in a list", "chunked, chunked"}, {"a comma before", ", chunked"}, {"a comma behind", "chunked,"},
		{"a letter before", "xchunked"}, {"a word behind", "chunked x"}, {"a parameter", "chunked;q=1"}, {"quoted", `"chunked"`}, {"folded inside", "chu\r\n nked"},
		{"a Kelvin sign", "chun\u212aed"}, {"a no-break space before", "\u00a0chunked"},
	} {
		all = append(all, refusal(kind, f.name, field("Transfer-Encoding: "+f.value), "6.3, 7", "other than chunked"))
	}
	return all
}

func chunkFramings() (all []framing) {
	const kind, head = "chunk", okLine + "Transfer-Encoding: chunked\r\n\r\n"
	rest := "\r\nhello\r\n0\r\n\r\n"
	all = []framing{
		whole(kind, "leading zeros, sixteen digits", head+"0000000000000005"+rest, "7.1", again1),
		whole(kind, "an extension", head+"5;a=b"+rest, "7.1.1", again1),
		whole(kind, "an extension in quotes", head+`5;a="b;c"`+rest, "7.1.1", again1),
		whole(kind, "an extension at the last one", head+"5\r\nhello\r\n0;a\r\n\r\n", "7.1.1", again1),
		whole(kind, "white space behind the size", head+"5 \t"+rest, "7.1, as old servers pad it", again1),
		whole(kind, "a last one of many zeros", head+"5\r\nhello\r\n0000\r\n\r\n", "7.1", again1),
		whole(kind, "a response behind the last", head+five+evil, "6.3", never),
		{kind: kind, name: "no last one", raw: head + "5\r\nhello\r\n", end: true, rule: "8", refused: "unexpected EOF"},
		{kind: kind, name: "no empty line at the end", raw: head + "5\r\nhello\r\n0\r\n", end: true, rule: "8", refused: "unexpected EOF"},
	}
	for _, f := range []struct{ name, raw, rule, says string }{
		{"a size that ends with a bare LF", "5\nhello\r\n0\r\n\r\n", "7.1", "bare LF"},
		{"an extension that ends with a bare LF", "5;a\nhello\r\n0\r\n\r\n", "7.1.1", "bare LF"},
		{"a bare CR behind the size", "5\rhello\r\n0\r\n\r\n", "7.1", "bare CR"},
		{"two CRs behind the size", "5\r\r\nhello\r\n0\r\n\r\n", "7.1", "bare CR"},
		{"a bare CR in an extension", "5;a\rb" + rest, "7.1.1", "bare CR"},
		{"NUL in an extension", "5;a\x00" + rest, "7.1.1", "control character"},
		{"NUL behind the size", "5\x00" + rest, "7.1", "chunk size"},
		{"white space before an extension", "5 ;a" + rest, "7.1.1", "behind a chunk size"},
		{"data that a bare LF ends", "5\r\nhello\n0\r\n\r\n", "7.1", "no CRLF"},
		{"data that a bare CR ends", "5\r\nhello\r0\r\n\r\n", "7.1", "no CRLF"},
		{"more data than the size", "4" + rest, "7.1", "no CRLF"},
		{"an empty line before the size", "\r\n5" + rest, "7.1", "begins with byte"},
		{"no size", rest, "7.1", "begins with byte"},
		{"no size, an extension", ";a" + rest, "7.1", "begins with byte"},
		{"plus", "+5" + rest, "7.1", "begins with byte"},
		{"minus", "-5" + rest, "7.1", "begins with byte"},
		{"white space before the size", " 5" + rest, "7.1", "begins with byte"},
		{"0x before the size", "0x5" + rest, "7.1", "behind a chunk size"},
		{"no hexadecimal digit", "g" + rest, "7.1", "begins with byte"},
		{"an underscore", "0_5" + rest, "7.1", "behind a chunk size"},
		{"a comma", "5,5" + rest, "7.1", "behind a chunk size"},
		{"2⁶²", "4000000000000000" + rest, "7.1", "chunk size of"},
		{"2⁶³", "8000000000000000" + rest, "7.1", "chunk size of"},
		{"2⁶⁴-1", "ffffffffffffffff" + rest, "7.1", "chunk size of"},
		{"2⁶⁴+5", "10000000000000005" + rest, "7.1", "16 digits"},
		{"leading zeros, seventeen digits", "00000000000000005" + rest, "7.1", "16 digits"},
		{"an extension of more than 4,096 bytes", "5;" + strings.Repeat("a", 4100) + rest, "7.1.1", "longer than"},
		{"16 KiB of extensions for 50 bytes", strings.Repeat("1;"+strings.Repeat("a", 400)+"\r\nx\r\n", 50) + "0\r\n\r\n", "7.1.1", "too much framing"},
	} {
		all = append(all, refusal(kind, f.name, head+f.raw, f.rule, f.says))
	}
	return all
}

func trailerFramings() (all []framing) {
	const kind, head = "trailer", okLine + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
	all = []framing{
		whole(kind, "a field", head+"A: b\r\n\r\n", "7.1.2", again1),
		whole(kind, "a length, which is left out", head+"Content-Length: 50\r\n\r\n", "RFC 9110 6.5.1", again1),
		whole(kind, "a coding, which is left out", head+"Transfer-Encoding: x\r\n\r\n", "RFC 9110 6.5.1", again1),
		whole(kind, "a response behind it", head+"A: b\r\n\r\n"+evil, "6.3", never),
		whole(kind, "folded", head+"A: b\r\n c\r\n\r\n", "5.2", never),
		whole(kind, "a bare LF inside", head+"A: b\nC: d\r\n\r\n", "2.2", never),
	}
	for _, f := range []struct{ name, raw, rule, says string }{
		{"that a bare LF ends", "A: b\r\n\n", "7.1.2", "bare LF"},
		{"that a response follows without an empty line", evil, "5.1", "field name"},
		{"a bare CR", "A: b\rC: d\r\n\r\n", "2.2", "control character"},
		{"NUL", "A: \x00\r\n\r\n", "RFC 9110 5.5", "control character"},
		{"a space before the colon", "A : b\r\n\r\n", "5.1", "white space"},
		{"no name", ": b\r\n\r\n", "5.1", "field name"},
	} {
		all = append(all, refusal(kind, f.name, head+f.raw, f.rule, f.says))
	}
	announced := func(name string) string {
		return okLine + "Transfer-Encoding: chunked\r\nTrailer: A, " + name + "\r\n\r\n" + five
	}
	for _, name := range []string{"Content-Length", "transfer-encoding", "Trailer"} {
		all = append(all, refusal(kind, "one that announces "+name, announced(name), "RFC 9110 6.5.1", "Trailer announces"))
	}
	return all
}

func emptyFramings() []framing {
	const kind = "no body"
	empty := func(name, method, raw, rule string, reused bool) framing {
		return framing{kind: kind, name: name, method: method, raw: raw, rule: rule, reused: reused}
	}
	final := okLine + "Content-Length: 5\r\n\r\nhello"
	return []framing{
		empty("HEAD with a length", http.MethodHead, okLine+"Content-Length: 5\r\n\r\n", "6.3", again1),
		empty("HEAD with chunks announced", http.MethodHead, okLine+"Transfer-Encoding: chunked\r\n\r\n", "6.1", again1),
		empty("HEAD with both", http.MethodHead, okLine+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "6.3", never),
		empty("HEAD with a body", http.MethodHead, final, "6.3", never),
		empty("HEAD with chunks", http.MethodHead, okLine+"Transfer-Encoding: chunked\r\n\r\n"+five, "6.3", never),
		empty("204", "", "HTTP/1.1 204 No Content\r\n\r\n", "6.3", again1),
		empty("204 with a length of 0", "", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "RFC 9110 8.6", again1),
		empty("204 with a length", "", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "RFC 9110 8.6", never),
		empty("204 with chunks announced", "", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "6.1", never),
		empty("204 with a body", "", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "6.3", never),
		empty("304 with the length of its 200", "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "RFC 9110 8.6", again1),
		empty("304 with chunks announced", "", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "6.1", again1),
		empty("304 with both", "", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "6.3", never),
		empty("304 with a body", "", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "6.3", never),
		empty("a length of 0, and a body", "", okLine+"Content-Length: 0\r\n\r\n"+evil, "6.3", never),
		empty("101 that names no protocol", "", "HTTP/1.1 101 Switching Protocols\r\n\r\n"+evil, "RFC 9110 7.8", never),
		whole(kind, "205 with a body", "HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello", "6.3", again1),
		whole(kind, "100 that nobody waits for", "HTTP/1.1 100 Continue\r\n\r\n"+final, "RFC 9110 15.2", again1),
		whole(kind, "103, then the response", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+final, "RFC 9110 15.2", again1),
		whole(kind, "103 with a length of 0", "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n"+final, "RFC 9110 8.6", again1),
		whole(kind, "103 with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 43\r\n\r\n"+final, "RFC 9110 8.6", never),
		whole(kind, "103 with chunks announced", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n"+final, "6.1", never),
		whole(kind, "103 with a fold", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\n"+final, "5.2", never),
		refusal(kind, "103 with a body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello"+final, "6.3", "status line"),
	}
}

func headFramings() (all []framing) {
	const kind = "head"
	rest := "Content-Length: 5\r\n\r\nhello"
	all = []framing{
		whole(kind, "Connection: close, and a response behind", okLine+"Connection: close\r\n"+rest+evil, "9.6", never),
		whole(kind, "Connection: keep-alive and close", okLine+"Connection: keep-alive\r\nConnection: close\r\n"+rest, "9.3", never),
		whole(kind, "HTTP/1.0", "HTTP/1.0 200 OK\r\n"+rest, "9.3", never),
		whole(kind, "HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"+rest, "9.3", again1),
		whole(kind, "HTTP/1.2", "HTTP/1.2 200 OK\r\n"+rest, "RFC 9110 2.5", again1),
		whole(kind, "bytes beyond ASCII in a value", okLine+"X: \xff\xfe\r\n"+rest, "RFC 9110 5.5", again1),
		whole(kind, "no reason phrase, nor the space before", "HTTP/1.1 200\r\n"+rest, "4", again1),
		whole(kind, "a space in a name", okLine+"X Y: z\r\n"+rest, "RFC 9110 5.1", never),
		whole(kind, "a status line that a bare LF ends", "HTTP/1.1 200 OK\n"+rest, "2.2", never),
	}
	for _, f := range []struct{ name, raw, rule, says string }{
		{"an empty line first", "\r\n" + okLine + rest, "4", "status line"},
		{"no head", "hello", "4", "status line"},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n" + rest, "2.3", "version"},
		{"HTTP/1.10", "HTTP/1.10 200 OK\r\n" + rest, "2.3", "status line"},
		{"version in lower case", "http/1.1 200 OK\r\n" + rest, "2.3", "status line"},
		{"a signed status", "HTTP/1.1 +20 OK\r\n" + rest, "4", "status code"},
		{"a status of four digits", "HTTP/1.1 2000 OK\r\n" + rest, "4", "status code"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n" + rest, "4", "status code"},
		{"a status below 100", "HTTP/1.1 099 OK\r\n" + rest, "RFC 9110 15", "status code"},
		{"NUL in the reason phrase", "HTTP/1.1 200 O\x00K\r\n" + rest, "4", "status line"},
		{"a bare CR in the reason phrase", "HTTP/1.1 200 OK\rX: y\r\n" + rest, "2.2", "status line"},
		{"a line without a colon", okLine + "hello\r\n" + rest, "5", "no colon"},
		{"an empty name", okLine + ": x\r\n" + rest, "5.1", "field name"},
		{"NUL in a name", okLine + "X\x00: y\r\n" + rest, "5.1", "field name"},
		{"NUL in a value", okLine + "X: \x00\r\n" + rest, "RFC 9110 5.5", "control character"},
		{"a bare CR in a value", okLine + "X: y\rZ\r\n" + rest, "2.2", "control character"},
		{"two CRs at a line's end", okLine + "X: y\r\r\n" + rest, "2.2", "control character"},
		{"a fold before the first field", okLine + " X: y\r\n" + rest, "2.2", "white space"},
	} {
		all = append(all, framing{kind: kind, name: f.name, raw: f.raw, end: f.says == "EOF" || f.name == "no head", rule: f.rule, refused: f.says})
	}
	return all
}

// result is what the page says of what becomes of it.
func (f framing) result() string {
	switch {
	case f.refused != "":
		return "refused"
	case f.end:
		return "read to the connection's end"
	}
	return "read"
}

// shown is what the server sends, as the page has it.
func (f framing) shown() string {
	raw := strings.ReplaceAll(f.raw, evil, "…")
	if rest, ok := strings.CutPrefix(raw, okLine); ok && rest != "" {
		raw = rest
	}
	s := fmt.Sprintf("%+q", raw)
	s = strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
	s = strings.ReplaceAll(s, `\u2026`, "…")
	if len(s) > 110 {
		s = s[:100] + "…"
	}
	return "`" + s + "`"
}
