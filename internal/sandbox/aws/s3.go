package aws

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

const namespaceS3 = "http://s3.amazonaws.com/doc/2006-03-01/"

type errorS3 struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// headers are of every answer of S3.
func (c *call) headers() {
	c.w.Header().Set("X-Amz-Request-Id", c.request)
	c.w.Header().Set("X-Amz-Id-2", hexOf(c.h.seed, c.request, 0, 32))
}

// sendXML answers with a document; to HEAD without one.
func (c *call) sendXML(status int, v any) {
	c.headers()
	if c.r.Method == http.MethodHead {
		c.w.WriteHeader(status)
		return
	}
	b, err := xml.Marshal(v)
	if err != nil {
		panic(err) // the types are this package's
	}
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append([]byte(xml.Header), b...)) // a client that went away is no concern of the vendor's
}

// send answers without a document.
func (c *call) send(status int) {
	c.headers()
	c.w.WriteHeader(status)
}

// subresources are what a query can ask for in place of the bucket or object.
var subresources = []string{"acl", "tagging", "versioning", "versions", "policy", "policyStatus", "publicAccessBlock", "ownershipControls", "location"}

// operation is a call of S3: its name is that of the right it needs and, but for
// data, of the event in the trail.
type operation struct {
	right, event string
	data         bool // the trail has it as a data event
	serve        func(*call, *target) *failure
}

// target is what a request is about.
type target struct {
	b   *org.Bucket
	key string
	log bool // the bucket of the trail, which nobody changes
}

// Operations of buckets and of objects, by method and subresource.
var (
	bucketOps = map[string]operation{
		"HEAD ":                    {right: "ListBucket", serve: (*call).headBucket},
		"GET ":                     {right: "ListBucket", serve: (*call).listObjects},
		"GET versions":             {right: "ListBucketVersions", serve: (*call).listVersions},
		"GET versioning":           {right: "GetBucketVersioning", serve: (*call).getVersioning},
		"GET location":             {right: "GetBucketLocation", serve: (*call).getLocation},
		"GET tagging":              {right: "GetBucketTagging", serve: (*call).bucketTagging},
		"GET ownershipControls":    {right: "GetBucketOwnershipControls", serve: (*call).getOwnership},
		"GET policyStatus":         {right: "GetBucketPolicyStatus", serve: (*call).policyStatus},
		"GET policy":               {right: "GetBucketPolicy", serve: (*call).getPolicy},
		"PUT policy":               {right: "PutBucketPolicy", event: "PutBucketPolicy", serve: (*call).putBucketPolicy},
		"DELETE policy":            {right: "DeleteBucketPolicy", event: "DeleteBucketPolicy", serve: (*call).deleteBucketPolicy},
		"GET acl":                  {right: "GetBucketAcl", serve: (*call).getACL},
		"PUT acl":                  {right: "PutBucketAcl", event: "PutBucketAcl", serve: (*call).putACL},
		"GET publicAccessBlock":    {right: "GetBucketPublicAccessBlock", serve: (*call).getBlock},
		"PUT publicAccessBlock":    {right: "PutBucketPublicAccessBlock", event: "PutBucketPublicAccessBlock", serve: (*call).putBlock},
		"DELETE publicAccessBlock": {right: "PutBucketPublicAccessBlock", event: "DeleteBucketPublicAccessBlock", serve: (*call).deleteBlock},
	}
	objectOps = map[string]operation{
		"GET ":           {right: "GetObject", serve: (*call).getObject},
		"HEAD ":          {right: "GetObject", serve: (*call).getObject},
		"PUT ":           {right: "PutObject", event: "PutObject", data: true, serve: (*call).putObject},
		"DELETE ":        {right: "DeleteObject", event: "DeleteObject", data: true, serve: (*call).deleteObject},
		"GET tagging":    {right: "GetObjectTagging", serve: (*call).getTagging},
		"PUT tagging":    {right: "PutObjectTagging", event: "PutObjectTagging", data: true, serve: (*call).putTagging},
		"DELETE tagging": {right: "DeleteObjectTagging", event: "DeleteObjectTagging", data: true, serve: (*call).deleteTagging},
		"GET acl":        {right: "GetObjectAcl", serve: (*call).getACL},
		"PUT acl":        {right: "PutObjectAcl", event: "PutObjectAcl", data: true, serve: (*call).putACL},
	}
)

// controlPath is S3 Control's, for the account as a whole.
const controlPath = "/v20180820/configuration/publicAccessBlock"

func (c *call) serveS3() {
	name, key, object := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	switch {
	case c.r.URL.Path == controlPath:
		c.called("s3:AccountPublicAccessBlock")
		c.serveControl()
		return
	case name == "":
		c.called("s3:ListBuckets")
		c.listBuckets()
		return
	}
	sub := ""
	for _, s := range subresources {
		if c.query.Has(s) {
			sub = s
		}
	}
	ops := bucketOps
	if object && key != "" {
		ops = objectOps
	}
	op, ok := ops[c.r.Method+" "+sub]
	if !ok {
		c.h.t.Violate("no such operation", c.r.Method+" "+c.r.URL.Path+" "+sub)
		c.fail(refuse(http.StatusNotImplemented, "NotImplemented", "The sandbox has no %s of %q", c.r.Method, sub))
		return
	}
	if op.event == "PutObject" && c.r.Header.Get("X-Amz-Copy-Source") != "" {
		op.event = "CopyObject"
		op.serve = (*call).copyObject
	}
	c.called("s3:" + cmp.Or(op.event, op.right))
	t := &target{key: key}
	if t.b = c.s.Cloud.Bucket(name); name == c.s.Cloud.Trail {
		t.b, t.log = c.h.trail.bucket(c.h, c.s), true
	}
	f := c.reach(t, &op, name)
	if f == nil {
		f = op.serve(c, t)
	}
	if op.event != "" && t.b != nil {
		c.recordS3(&op, t, f)
	}
	if f != nil {
		c.fail(f)
	}
}

// reach checks what is the same for all operations.
func (c *call) reach(t *target, op *operation, name string) *failure {
	h := c.r.Header
	arn := "arn:aws:s3:::" + name
	if t.key != "" {
		arn += "/" + t.key
	}
	right := op.right
	if c.query.Get("versionId") != "" && (right == "GetObject" || right == "DeleteObject") {
		right += "Version"
	}
	if t.b == nil {
		return refuse(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if o := h.Get("X-Amz-Expected-Bucket-Owner"); o != "" && o != c.h.account {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	if c.who == nil {
		if op.right == "GetObject" && c.public(t) {
			return nil
		}
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	if s, _ := parseAuthorization(h.Get("Authorization")); s.region != t.b.Region {
		c.w.Header().Set("X-Amz-Bucket-Region", t.b.Region)
		return refuse(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong; expecting '%s'", s.region, t.b.Region)
	}
	if t.log && op.event != "" {
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied: nobody changes the trail's log files")
	}
	return c.allowed("s3:"+right, arn)
}

// recordS3 has the trail tell of a write.
func (c *call) recordS3(op *operation, t *target, f *failure) {
	e := org.CloudCall{Service: "s3.amazonaws.com", Name: op.event, Region: t.b.Region, Bucket: t.b.Name, Key: t.key}
	for _, name := range []string{"versionId"} {
		if v := c.query.Get(name); v != "" {
			e.Params = append(e.Params, org.Change{Name: name, New: v})
		}
	}
	for _, name := range []string{"x-amz-copy-source", "x-amz-acl"} {
		if v := c.r.Header.Get(name); v != "" {
			e.Params = append(e.Params, org.Change{Name: name, New: v})
		}
	}
	c.tell(e, f)
}

type listBucketsResult struct {
	XMLName xml.Name      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Buckets []bucketEntry `xml:"Buckets>Bucket"`
	Owner   owner
	Token   string `xml:"ContinuationToken,omitempty"`
}

type bucketEntry struct {
	Name         string
	CreationDate string
	BucketRegion string
	BucketArn    string
}

type owner struct {
	ID string
}

func (c *call) listBuckets() {
	if c.r.Method != http.MethodGet || c.who == nil {
		c.fail(refuse(http.StatusForbidden, "AccessDenied", "Access Denied"))
		return
	}
	if f := c.allowed("s3:ListAllMyBuckets", "*"); f != nil {
		c.fail(f)
		return
	}
	after, ok := c.decodeToken(c.query.Get("continuation-token"))
	if !ok {
		c.fail(badToken())
		return
	}
	all := []bucketEntry{{c.s.Cloud.Trail, iso(c.s.Born), org.CloudRegion, "arn:aws:s3:::" + c.s.Cloud.Trail}}
	for _, b := range c.s.Cloud.Buckets {
		all = append(all, bucketEntry{b.Name, iso(b.Created), b.Region, "arn:aws:s3:::" + b.Name})
	}
	slices.SortFunc(all, func(a, b bucketEntry) int { return strings.Compare(a.Name, b.Name) })
	all = slices.DeleteFunc(all, func(b bucketEntry) bool {
		region := c.query.Get("bucket-region")
		return b.Name <= after || region != "" && region != b.BucketRegion || !strings.HasPrefix(b.Name, c.query.Get("prefix"))
	})
	out := listBucketsResult{Owner: owner{c.h.canonical(org.CloudOwner)}}
	if most := max(1, limit(c.query.Get("max-buckets"), 1000)); len(all) > most {
		all = all[:most]
		out.Token = encodeToken(all[most-1].Name)
	}
	out.Buckets = all
	c.sendXML(http.StatusOK, out)
}

// copySource reads where a copy is from: a path, encoded, with a version.
func copySource(v string) (bucket, key, version string, ok bool) {
	path, query, _ := strings.Cut(v, "?")
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	q, err2 := url.ParseQuery(query)
	bucket, key, ok = strings.Cut(path, "/")
	return bucket, key, q.Get("versionId"), ok && key != "" && err == nil && err2 == nil
}
