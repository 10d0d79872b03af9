package httpx

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"
)

// maxDumped bounds a body in a dump, in bytes.
const maxDumped = 64 << 10

// dump writes an exchange, without what is secret, in one Write. A failed one
// fails nothing: the writer tells its owner.
//
//	2026-03-01T12:00:00.000Z acme-github members #1 GET https://api.github.com/orgs/acme/members?per_page=100
//	> Authorization: ***
//	< 200 in 84ms, 5120 bytes
//	< Content-Type: application/json
//	[{"login":"ann", ...
func (b *Base) dump(cl *call, req *http.Request, resp *Response, failure error, x Exchange, started time.Time) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s %s #%d %s %s\n", started.UTC().Format("2006-01-02T15:04:05.000Z"), b.o.Instance, orDash(cl.caller.Stream), x.Attempt, req.Method, b.redactor.url(req.URL))
	b.dumpHeaders(&out, '>', req.Header)
	b.dumpBody(&out, req.Header, cl.r.Body)
	took := x.Took.Round(time.Millisecond / 10)
	switch {
	case resp == nil:
		fmt.Fprintf(&out, "< no answer in %s: %s\n", took, b.redactor.text(failure.Error()))
	default:
		fmt.Fprintf(&out, "< %d in %s, %d bytes", resp.Status, took, x.BytesIn)
		if x.Throttled > 0 {
			fmt.Fprintf(&out, ", waited %s for quota", x.Throttled.Round(time.Millisecond))
		}
		if x.Class != "" {
			out.WriteString(", " + x.Class)
		}
		out.WriteByte('\n')
		b.dumpHeaders(&out, '<', resp.Header)
		b.dumpBody(&out, resp.Header, resp.Body)
	}
	out.WriteByte('\n')
	_, _ = b.o.Dump.Write(out.Bytes())
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (b *Base) dumpHeaders(out *bytes.Buffer, mark byte, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fmt.Fprintf(out, "%c %s: %s\n", mark, name, b.redactor.header(name, v))
		}
	}
}

func (b *Base) dumpBody(out *bytes.Buffer, h http.Header, body []byte) {
	if len(body) == 0 {
		return
	}
	if !utf8.Valid(body) {
		fmt.Fprintf(out, "(%d bytes that are no text)\n", len(body))
		return
	}
	text := b.redactor.body(h, body)
	if len(text) > maxDumped {
		fmt.Fprintf(out, "%s\n(%d more bytes)\n", text[:maxDumped], len(text)-maxDumped)
		return
	}
	out.WriteString(text)
	out.WriteByte('\n')
}
