package aws

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

const maxKeys = 1000

// iso is a time in documents of S3.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func encodeToken(after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("1" + after))
}

// decodeToken returns where a listing goes on; false: the token is not known, or
// not any more.
func (c *call) decodeToken(token string) (after string, ok bool) {
	if token == "" {
		return "", true
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	after, ok = strings.CutPrefix(string(b), "1")
	return after, ok && err == nil && !c.h.t.CursorExpired(c.r)
}

func badToken() *failure {
	return refuse(http.StatusBadRequest, "InvalidArgument", "The continuation token provided is incorrect")
}

type listResult struct {
	XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name           string
	Prefix         string
	Delimiter      string `xml:",omitempty"`
	StartAfter     string `xml:",omitempty"`
	Token          string `xml:"ContinuationToken,omitempty"`
	Next           string `xml:"NextContinuationToken,omitempty"`
	EncodingType   string `xml:",omitempty"`
	KeyCount       int
	MaxKeys        int
	IsTruncated    bool
	Contents       []entryXML
	CommonPrefixes []prefixXML
}

type entryXML struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
	StorageClass string
	Owner        *owner
}

type prefixXML struct{ Prefix string }

func class(v *org.Version) string {
	if v.Class == "" {
		return "STANDARD"
	}
	return v.Class
}

// keyEncoder encodes keys as encoding-type has it.
func (c *call) keyEncoder() func(string) string {
	if c.query.Get("encoding-type") == "url" {
		return func(s string) string { return escape(s, true) }
	}
	return func(s string) string { return s }
}

// common returns the part of a key that a delimiter cuts off, or "".
func common(key, prefix, delimiter string) string {
	if delimiter == "" {
		return ""
	}
	if i := strings.Index(key[len(prefix):], delimiter); i >= 0 {
		return key[:len(prefix)+i+len(delimiter)]
	}
	return ""
}

func (c *call) listObjects(t *target) *failure {
	q := c.query
	if q.Get("list-type") != "2" {
		c.h.t.Violate("no such operation", "listing of version 1")
		return refuse(http.StatusNotImplemented, "NotImplemented", "The sandbox lists with list-type=2")
	}
	after, ok := c.decodeToken(q.Get("continuation-token"))
	if !ok {
		return badToken()
	}
	after = max(after, q.Get("start-after"))
	code := c.keyEncoder()
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	out := listResult{
		Name: t.b.Name, Prefix: code(prefix), Delimiter: code(delimiter), StartAfter: code(q.Get("start-after")), Token: q.Get("continuation-token"),
		EncodingType: q.Get("encoding-type"), MaxKeys: limit(q.Get("max-keys"), maxKeys),
	}
	from, _ := t.b.Find(max(prefix, after))
	last := "" // shown
	for _, o := range t.b.Objects[from:] {
		if !strings.HasPrefix(o.Key, prefix) {
			break
		}
		v, folder := o.Current(), common(o.Key, prefix, delimiter)
		if o.Key <= after || v.Marker || folder != "" && (folder == last || strings.HasPrefix(after, folder)) {
			continue
		}
		if out.KeyCount == out.MaxKeys {
			out.IsTruncated, out.Next = true, encodeToken(last)
			break
		}
		out.KeyCount++
		if folder != "" {
			last = folder
			out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{code(folder)})
			continue
		}
		last = o.Key
		e := entryXML{Key: code(o.Key), LastModified: iso(v.Modified), ETag: etag(v.Body), Size: len(v.Body), StorageClass: class(v)}
		if q.Get("fetch-owner") == "true" {
			e.Owner = &owner{c.h.canonical(org.CloudOwner)}
		}
		out.Contents = append(out.Contents, e)
	}
	c.sendXML(http.StatusOK, out)
	return nil
}

type versionsResult struct {
	XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name        string
	Prefix      string
	KeyMarker   string
	IDMarker    string `xml:"VersionIdMarker"`
	NextKey     string `xml:"NextKeyMarker,omitempty"`
	NextID      string `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys     int
	IsTruncated bool
	Versions    []versionXML `xml:"Version"`
	Markers     []versionXML `xml:"DeleteMarker"`
}

type versionXML struct {
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified string
	ETag         string `xml:",omitempty"`
	Size         *int
	StorageClass string `xml:",omitempty"`
	Owner        owner
}

func (c *call) listVersions(t *target) *failure {
	q := c.query
	code := c.keyEncoder()
	prefix, key, mark := q.Get("prefix"), q.Get("key-marker"), q.Get("version-id-marker")
	out := versionsResult{Name: t.b.Name, Prefix: code(prefix), KeyMarker: code(key), IDMarker: mark, MaxKeys: limit(q.Get("max-keys"), maxKeys)}
	from, _ := t.b.Find(max(prefix, key))
	n, lastKey, lastID := 0, "", ""
	for _, o := range t.b.Objects[from:] {
		if !strings.HasPrefix(o.Key, prefix) || out.IsTruncated {
			break
		}
		passed := o.Key != key // the marker's own version and those before are over
		if o.Key == key && mark == "" {
			continue
		}
		for i := len(o.Versions) - 1; i >= 0; i-- {
			v := o.Versions[i]
			is := c.h.versionID(v)
			if !passed {
				passed = is == mark
				continue
			}
			if n == out.MaxKeys {
				out.IsTruncated, out.NextKey, out.NextID = true, code(lastKey), lastID
				break
			}
			n++
			lastKey, lastID = o.Key, is
			x := versionXML{Key: code(o.Key), VersionID: is, IsLatest: v == o.Current(), LastModified: iso(v.Modified), Owner: owner{c.h.canonical(org.CloudOwner)}}
			if v.Marker {
				out.Markers = append(out.Markers, x)
				continue
			}
			size := len(v.Body)
			x.ETag, x.Size, x.StorageClass = etag(v.Body), &size, class(v)
			out.Versions = append(out.Versions, x)
		}
	}
	c.sendXML(http.StatusOK, out)
	return nil
}
