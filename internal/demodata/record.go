package demodata

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
)

// event is one CloudTrail record. Fields that hold JSON are written as they
// are; where they are empty, the member is left out, or null where CloudTrail
// writes null.
type event struct {
	at                      time.Time
	account, region         string // where it is recorded
	identity                string // JSON
	source, name, ip, agent string
	errorCode, errorMessage string
	params, response        string // JSON
	extra                   string // additionalEventData, JSON
	id, request             string
	write                   bool
	resources               string // JSON
	typ                     string // eventType; "" is AwsApiCall
	apiVersion, category    string // category "" is Management
	details                 string // serviceEventDetails, JSON
	shared, endpoint        string // sharedEventID, vpcEndpointId
	addendum, insight       string // JSON
	tls                     string // host asked for
	console                 bool   // from a console session
	noRequest, noTLS        bool
}

// append writes the record in the order in which CloudTrail writes its members.
func (e *event) append(b []byte) []byte {
	b = append(b, `{"eventVersion":"1.11"`...)
	if e.insight == "" {
		b = member(b, "userIdentity", e.identity)
	}
	b = append(b, `,"eventTime":"`...)
	b = e.at.AppendFormat(b, time.RFC3339)
	b = append(b, '"')
	if e.insight == "" {
		b = quoted(b, "eventSource", e.source)
		b = quoted(b, "eventName", e.name)
	}
	b = quoted(b, "awsRegion", e.region)
	if e.insight == "" {
		b = optional(b, "sourceIPAddress", e.ip)
		b = optional(b, "userAgent", e.agent)
		b = optional(b, "errorCode", e.errorCode)
		b = optional(b, "errorMessage", e.errorMessage)
		b = member(b, "requestParameters", e.params)
		b = member(b, "responseElements", e.response)
		if e.extra != "" {
			b = member(b, "additionalEventData", e.extra)
		}
		if !e.noRequest {
			b = quoted(b, "requestID", e.request)
		}
	}
	b = quoted(b, "eventID", e.id)
	if e.insight == "" {
		b = append(b, `,"readOnly":`...)
		b = strconv.AppendBool(b, !e.write)
	}
	if e.resources != "" {
		b = member(b, "resources", e.resources)
	}
	b = quoted(b, "eventType", or(e.typ, "AwsApiCall"))
	b = optional(b, "apiVersion", e.apiVersion)
	category := or(e.category, "Management")
	if e.insight == "" {
		b = append(b, `,"managementEvent":`...)
		b = strconv.AppendBool(b, category == "Management")
	}
	b = quoted(b, "recipientAccountId", e.account)
	if e.details != "" {
		b = member(b, "serviceEventDetails", e.details)
	}
	b = optional(b, "sharedEventID", e.shared)
	if e.insight != "" {
		b = member(b, "insightDetails", e.insight)
	}
	if e.addendum != "" {
		b = member(b, "addendum", e.addendum)
	}
	b = optional(b, "vpcEndpointId", e.endpoint)
	b = quoted(b, "eventCategory", category)
	if e.tls != "" && !e.noTLS {
		b = append(b, `,"tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256"`...)
		b = quoted(b, "clientProvidedHostHeader", e.tls)
		b = append(b, '}')
	}
	if e.console {
		b = quoted(b, "sessionCredentialFromConsole", "true")
	}
	return append(b, '}')
}

func member(b []byte, name, json string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return append(b, or(json, "null")...)
}

func quoted(b []byte, name, value string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return quote(b, value)
}

func optional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return quoted(b, name, value)
}

func quote(b []byte, s string) []byte {
	if plain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	b, err := jsontext.AppendQuote(b, s)
	if err != nil {
		panic(err) // all text here is valid UTF-8
	}
	return b
}

// plain says whether s needs no escapes.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// raw is JSON as a value of object and list.
type raw string

// object writes a JSON object from names and values: text, numbers, bools, raw.
func object(pairs ...any) string {
	b := append(make([]byte, 0, 256), '{')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote(b, pairs[i].(string))
		b = append(b, ':')
		b = value(b, pairs[i+1])
	}
	return string(append(b, '}'))
}

// list writes a JSON array.
func list(values ...any) raw {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = value(b, v)
	}
	return raw(append(b, ']'))
}

func value(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return quote(b, v)
	case raw:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case bool:
		return strconv.AppendBool(b, v)
	}
	panic(fmt.Sprintf("no JSON for %T", v))
}

// encodeFile writes a log file's content.
func encodeFile(events []event) []byte {
	b := append(make([]byte, 0, 1400*len(events)), `{"Records":[`...)
	for i := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = events[i].append(b)
	}
	return append(b, `]}`...)
}

// newGzip compresses as much as gzip does by itself.
func newGzip(out *bytes.Buffer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(out, 6)
	must(0, err)
	return z
}

func compress(data []byte) []byte {
	var out bytes.Buffer
	z := newGzip(&out)
	must(z.Write(data))
	must(0, z.Close())
	return out.Bytes()
}

// compressCut compresses a log file and cuts it short so that the given number
// of records can be read, by whatever reader.
func compressCut(events []event, readable int) []byte {
	data := encodeFile(events)
	whole := len(encodeFile(events[:readable])) - len(`]}`)
	var out bytes.Buffer
	z := newGzip(&out)
	must(z.Write(data[:whole]))
	must(0, z.Flush())
	cut := out.Len() + 16 // less than the head of the next block
	must(z.Write(data[whole:]))
	must(0, z.Close())
	return out.Bytes()[:cut]
}

// must is for writes to memory, which cannot fail.
func must(_ int, err error) {
	if err != nil {
		panic(err)
	}
}
