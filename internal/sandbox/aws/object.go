package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// version returns the version that a request is about, or tells why there is
// none.
func (c *call) version(t *target) (*org.Version, *failure) {
	o := t.b.Object(t.key)
	if o == nil {
		return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	v := o.Current()
	if want := c.query.Get("versionId"); want != "" {
		i := slices.IndexFunc(o.Versions, func(v *org.Version) bool { return c.h.versionID(v) == want })
		if i < 0 {
			return nil, refuse(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
		}
		if v = o.Versions[i]; v.Marker {
			c.w.Header().Set("X-Amz-Delete-Marker", "true")
			return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		}
	}
	if v.Marker {
		c.w.Header().Set("X-Amz-Delete-Marker", "true")
		c.w.Header().Set("X-Amz-Version-Id", c.h.versionID(v))
		return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	return v, nil
}

// tellVersion sets the header of a version's id, where versions are kept.
func (c *call) tellVersion(b *org.Bucket, v *org.Version) {
	if b.Versioning != "" {
		c.w.Header().Set("X-Amz-Version-Id", c.h.versionID(v))
	}
}

func sha(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (c *call) getObject(t *target) *failure {
	v, f := c.version(t)
	if f != nil {
		return f
	}
	if m := c.r.Header.Get("If-Match"); m != "" && m != etag(v.Body) {
		return changed()
	}
	if v.Class == "GLACIER" && c.r.Method == http.MethodGet {
		return archived()
	}
	h := c.w.Header()
	c.tellVersion(t.b, v)
	h.Set("Content-Type", v.Type)
	h.Set("Etag", etag(v.Body))
	h.Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(v.Body)))
	h.Set("X-Amz-Server-Side-Encryption", "AES256")
	for _, m := range v.Meta {
		h.Set("X-Amz-Meta-"+m.Name, m.New)
	}
	if len(v.Tags) > 0 {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(len(v.Tags)))
	}
	if v.Class != "" {
		h.Set("X-Amz-Storage-Class", v.Class)
	}
	if c.r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		h.Set("X-Amz-Checksum-Sha256", sha(v.Body))
		h.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	c.send(http.StatusOK)
	if c.r.Method == http.MethodGet {
		_, _ = c.w.Write(v.Body) // a client that went away is no concern of the vendor's
	}
	return nil
}

func changed() *failure {
	return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

func archived() *failure {
	return refuse(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class")
}

// conditions checks If-Match and If-None-Match of a write.
func (c *call) conditions(t *target) *failure {
	var now *org.Version
	if o := t.b.Object(t.key); o != nil && !o.Current().Marker {
		now = o.Current()
	}
	m := c.r.Header.Get("If-Match")
	switch {
	case m != "" && now == nil:
		return refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	case m != "" && m != "*" && m != etag(now.Body), c.r.Header.Get("If-None-Match") == "*" && now != nil:
		return changed()
	}
	return nil
}

// content is what the headers of a write tell of the new version.
func (c *call) content(t *target) (*org.Version, *failure) {
	v := &org.Version{Body: c.body, Type: c.r.Header.Get("Content-Type"), Modified: c.now, ACL: []org.ACLGrant{{Grantee: org.CloudOwner, Right: "FULL_CONTROL"}}}
	if v.Type == "" {
		v.Type = "binary/octet-stream"
	}
	for name, values := range c.r.Header {
		if m, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			v.Meta = append(v.Meta, org.Change{Name: m, New: strings.Join(values, ",")})
		}
	}
	slices.SortFunc(v.Meta, func(a, b org.Change) int { return strings.Compare(a.Name, b.Name) })
	if text := c.r.Header.Get("X-Amz-Tagging"); text != "" {
		q, err := url.ParseQuery(text)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
		}
		for name := range q {
			v.Tags = append(v.Tags, org.Change{Name: name, New: q.Get(name)})
		}
		slices.SortFunc(v.Tags, func(a, b org.Change) int { return strings.Compare(a.Name, b.Name) })
		if f := tagsFit(v.Tags); f != nil {
			return nil, f
		}
	}
	if c.r.Header.Get("X-Amz-Acl") != "" {
		list, f := c.readACL()
		switch {
		case f != nil:
			return nil, f
		case t.b.NoACLs && c.r.Header.Get("X-Amz-Acl") != "bucket-owner-full-control":
			return nil, refuse(http.StatusBadRequest, "AccessControlListNotSupported", "The bucket does not allow ACLs")
		case publicACL(list) && c.blocks(t.b).BlockACLs:
			return nil, refuse(http.StatusForbidden, "AccessDenied", "Access Denied: public access lists are blocked")
		}
		v.ACL = list
	}
	return v, nil
}

func (c *call) putObject(t *target) *failure {
	if f := c.conditions(t); f != nil {
		return f
	}
	v, f := c.content(t)
	if f != nil {
		return f
	}
	if said := c.r.Header.Get("X-Amz-Checksum-Sha256"); said != "" && said != sha(c.body) {
		return refuse(http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
	}
	c.s.Put(t.b, t.key, v)
	c.tellVersion(t.b, v)
	c.w.Header().Set("Etag", etag(v.Body))
	c.send(http.StatusOK)
	return nil
}

func (c *call) copyObject(t *target) *failure {
	h := c.r.Header
	bucket, key, version, ok := copySource(h.Get("X-Amz-Copy-Source"))
	from := c.s.Cloud.Bucket(bucket)
	switch {
	case !ok:
		return refuse(http.StatusBadRequest, "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	case from == nil:
		return refuse(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if o := h.Get("X-Amz-Source-Expected-Bucket-Owner"); o != "" && o != c.h.account {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	right := "s3:GetObject"
	if version != "" {
		right += "Version"
	}
	if f := c.allowed(right, "arn:aws:s3:::"+bucket+"/"+key); f != nil {
		return f
	}
	source, f := c.source(from, key, version)
	if f != nil {
		return f
	}
	if m := h.Get("X-Amz-Copy-Source-If-Match"); m != "" && m != etag(source.Body) {
		return changed()
	}
	if source.Class == "GLACIER" {
		return archived()
	}
	v, f := c.content(t)
	if f != nil {
		return f
	}
	replace := h.Get("X-Amz-Metadata-Directive") == "REPLACE"
	if from == t.b && key == t.key && version == "" && !replace {
		return refuse(http.StatusBadRequest, "InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata.")
	}
	v.Body = source.Body
	if !replace {
		v.Type, v.Meta = source.Type, source.Meta
	}
	if h.Get("X-Amz-Tagging-Directive") != "REPLACE" {
		v.Tags = slices.Clone(source.Tags)
	}
	if c.h.failCopy() { // after the answer has begun
		c.sendXML(http.StatusOK, errorS3{Code: "InternalError", Message: "We encountered an internal error. Please try again.", RequestID: c.request})
		return nil
	}
	c.s.Put(t.b, t.key, v)
	c.tellVersion(t.b, v)
	if from.Versioning != "" {
		c.w.Header().Set("X-Amz-Copy-Source-Version-Id", c.h.versionID(source))
	}
	c.sendXML(http.StatusOK, struct {
		XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
		ETag           string
		LastModified   string
		ChecksumSHA256 string
	}{ETag: etag(v.Body), LastModified: iso(v.Modified), ChecksumSHA256: sha(v.Body)})
	return nil
}

// source returns the version that is copied.
func (c *call) source(b *org.Bucket, key, version string) (*org.Version, *failure) {
	o := b.Object(key)
	if o == nil {
		return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	v := o.Current()
	if version != "" {
		i := slices.IndexFunc(o.Versions, func(v *org.Version) bool { return c.h.versionID(v) == version })
		if i < 0 {
			return nil, refuse(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
		}
		if v = o.Versions[i]; v.Marker {
			return nil, refuse(http.StatusBadRequest, "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
		}
	}
	if v.Marker {
		return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	return v, nil
}

func (c *call) deleteObject(t *target) *failure {
	if want := c.query.Get("versionId"); want != "" {
		return c.deleteVersion(t, want)
	}
	o := t.b.Object(t.key)
	if c.r.Header.Get("If-Match") != "" {
		if f := c.conditions(t); f != nil {
			return f
		}
	}
	if t.b.Versioning == "" {
		if o != nil {
			t.b.Drop(t.key, o.Current())
		}
		c.send(http.StatusNoContent)
		return nil
	}
	v := &org.Version{Marker: true, Modified: c.now}
	c.s.Put(t.b, t.key, v)
	c.w.Header().Set("X-Amz-Delete-Marker", "true")
	c.tellVersion(t.b, v)
	c.send(http.StatusNoContent)
	return nil
}

func (c *call) deleteVersion(t *target, want string) *failure {
	c.w.Header().Set("X-Amz-Version-Id", want)
	if o := t.b.Object(t.key); o != nil {
		for _, v := range o.Versions {
			if c.h.versionID(v) != want {
				continue
			}
			if v.Held {
				return refuse(http.StatusForbidden, "AccessDenied", "Access Denied because object protected by object lock.")
			}
			if v.Marker {
				c.w.Header().Set("X-Amz-Delete-Marker", "true")
			}
			t.b.Drop(t.key, v)
			break
		}
	}
	c.send(http.StatusNoContent) // also where there was none
	return nil
}

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Tags    []tagXML `xml:"TagSet>Tag"`
}

type tagXML struct{ Key, Value string }

func (c *call) getTagging(t *target) *failure {
	v, f := c.version(t)
	if f != nil {
		return f
	}
	out := struct {
		XMLName xml.Name               `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
		Set     struct{ Tag []tagXML } `xml:"TagSet"`
	}{}
	for _, x := range v.Tags {
		out.Set.Tag = append(out.Set.Tag, tagXML{x.Name, x.New})
	}
	c.tellVersion(t.b, v)
	c.sendXML(http.StatusOK, out)
	return nil
}

func tagsFit(tags []org.Change) *failure {
	seen := map[string]bool{}
	for _, x := range tags {
		if seen[x.Name] || x.Name == "" || len(x.Name) > 128 || len(x.New) > 256 {
			return refuse(http.StatusBadRequest, "InvalidTag", "The tag provided was not a valid tag.")
		}
		seen[x.Name] = true
	}
	if len(tags) > 10 {
		return refuse(http.StatusBadRequest, "BadRequest", "Object tags cannot be greater than 10")
	}
	return nil
}

func (c *call) putTagging(t *target) *failure {
	v, f := c.version(t)
	if f != nil {
		return f
	}
	var x taggingXML
	if xml.Unmarshal(c.body, &x) != nil {
		return malformed()
	}
	var tags []org.Change
	for _, tag := range x.Tags {
		tags = append(tags, org.Change{Name: tag.Key, New: tag.Value})
	}
	if f := tagsFit(tags); f != nil {
		return f
	}
	v.Tags = tags
	c.tellVersion(t.b, v)
	c.send(http.StatusOK)
	return nil
}

func (c *call) deleteTagging(t *target) *failure {
	v, f := c.version(t)
	if f != nil {
		return f
	}
	v.Tags = nil
	c.tellVersion(t.b, v)
	c.send(http.StatusNoContent)
	return nil
}
