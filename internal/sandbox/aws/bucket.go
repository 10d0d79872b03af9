package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

func (c *call) headBucket(t *target) *failure {
	c.w.Header().Set("X-Amz-Bucket-Region", t.b.Region)
	c.send(http.StatusOK)
	return nil
}

func (c *call) getVersioning(t *target) *failure {
	c.sendXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
		Status  string   `xml:",omitempty"`
	}{Status: t.b.Versioning})
	return nil
}

func (c *call) getLocation(t *target) *failure {
	region := t.b.Region
	if region == org.GlobalRegion {
		region = ""
	}
	c.sendXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region})
	return nil
}

func (c *call) bucketTagging(*target) *failure {
	return refuse(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist")
}

func (c *call) getOwnership(t *target) *failure {
	is := "ObjectWriter"
	if t.b.NoACLs {
		is = "BucketOwnerEnforced"
	}
	c.sendXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ OwnershipControls"`
		Rule    string   `xml:"Rule>ObjectOwnership"`
	}{Rule: is})
	return nil
}

func (c *call) policyStatus(t *target) *failure {
	if t.b.Policy == "" {
		return noPolicy()
	}
	c.sendXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
		IsPublic bool
	}{IsPublic: publicPolicy(t.b.Policy)})
	return nil
}

func noPolicy() *failure {
	return refuse(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
}

func (c *call) getPolicy(t *target) *failure {
	if t.b.Policy == "" {
		return noPolicy()
	}
	c.headers()
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write([]byte(t.b.Policy)) // a client that went away is no concern of the vendor's
	return nil
}

func (c *call) putBucketPolicy(t *target) *failure {
	p, ok := parsePolicy(string(c.body))
	switch {
	case !ok || slices.ContainsFunc(p.Statement, func(s statement) bool { return len(s.Principal) == 0 }):
		return refuse(http.StatusBadRequest, "MalformedPolicy", "This policy contains invalid Json or lacks a Principal")
	case publicPolicy(string(c.body)) && c.blocks(t.b).BlockPolicy:
		return refuse(http.StatusForbidden, "AccessDenied", "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.")
	}
	t.b.Policy = string(c.body)
	c.send(http.StatusNoContent)
	return nil
}

func (c *call) deleteBucketPolicy(t *target) *failure {
	t.b.Policy = ""
	c.send(http.StatusNoContent)
	return nil
}

// publicPolicy tells whether a policy lets anybody in.
func publicPolicy(document string) bool {
	p, ok := parsePolicy(document)
	return ok && slices.ContainsFunc(p.Statement, func(s statement) bool {
		return s.Effect == "Allow" && len(s.Condition) == 0 && slices.Contains(principals(s.Principal), "*")
	})
}

// principals are those that a statement names.
func principals(raw json.RawMessage) []string {
	var list words
	if bytes.HasPrefix(raw, []byte("{")) {
		var by map[string]words
		_ = json.Unmarshal(raw, &by) // of another form: it names nobody
		return by["AWS"]
	}
	_ = json.Unmarshal(raw, &list) // as above
	return list
}

// blocks are the switches that hold for a bucket: its own, and the account's.
func (c *call) blocks(b *org.Bucket) (out org.PublicBlock) { return blocks(c.s, b) }

func blocks(s *org.State, b *org.Bucket) (out org.PublicBlock) {
	for _, p := range []*org.PublicBlock{b.Block, s.Cloud.BlockPublic} {
		if p != nil {
			out.BlockACLs = out.BlockACLs || p.BlockACLs
			out.IgnoreACLs = out.IgnoreACLs || p.IgnoreACLs
			out.BlockPolicy = out.BlockPolicy || p.BlockPolicy
			out.RestrictBuckets = out.RestrictBuckets || p.RestrictBuckets
		}
	}
	return out
}

func publicACL(list []org.ACLGrant) bool {
	return slices.ContainsFunc(list, func(g org.ACLGrant) bool {
		return strings.HasSuffix(g.Grantee, "/AllUsers") || strings.HasSuffix(g.Grantee, "/AuthenticatedUsers")
	})
}

// public tells whether anybody can read an object.
func (c *call) public(t *target) bool {
	o := t.b.Object(t.key)
	if t.log || o == nil {
		return false
	}
	p := c.blocks(t.b)
	return publicACL(o.Current().ACL) && !t.b.NoACLs && !p.IgnoreACLs || publicPolicy(t.b.Policy) && !p.RestrictBuckets
}

type blockXML struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	Xmlns                 string   `xml:"xmlns,attr,omitempty"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

func (c *call) sendBlock(p *org.PublicBlock) *failure {
	if p == nil {
		return refuse(http.StatusNotFound, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
	}
	c.sendXML(http.StatusOK, blockXML{
		Xmlns: namespaceS3, BlockPublicAcls: p.BlockACLs, IgnorePublicAcls: p.IgnoreACLs, BlockPublicPolicy: p.BlockPolicy, RestrictPublicBuckets: p.RestrictBuckets,
	})
	return nil
}

func (c *call) readBlock() (*org.PublicBlock, *failure) {
	var x blockXML
	if xml.Unmarshal(c.body, &x) != nil {
		return nil, malformed()
	}
	return &org.PublicBlock{BlockACLs: x.BlockPublicAcls, IgnoreACLs: x.IgnorePublicAcls, BlockPolicy: x.BlockPublicPolicy, RestrictBuckets: x.RestrictPublicBuckets}, nil
}

func malformed() *failure {
	return refuse(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

func (c *call) getBlock(t *target) *failure { return c.sendBlock(t.b.Block) }

func (c *call) putBlock(t *target) *failure {
	p, f := c.readBlock()
	if f != nil {
		return f
	}
	t.b.Block = p
	c.send(http.StatusOK)
	return nil
}

func (c *call) deleteBlock(t *target) *failure {
	t.b.Block = nil
	c.send(http.StatusNoContent)
	return nil
}

// serveControl is the public access block of the account.
func (c *call) serveControl() {
	rights := map[string]string{"GET": "GetAccountPublicAccessBlock", "PUT": "PutAccountPublicAccessBlock", "DELETE": "PutAccountPublicAccessBlock"}
	right := rights[c.r.Method]
	f := c.allowed("s3:"+right, "*")
	switch {
	case right == "":
		f = refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	case c.r.Header.Get("X-Amz-Account-Id") != c.h.account:
		f = refuse(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	var p *org.PublicBlock
	if f == nil && c.r.Method == http.MethodPut {
		p, f = c.readBlock()
	}
	if f == nil && c.r.Method == http.MethodGet {
		f = c.sendBlock(c.s.Cloud.BlockPublic)
	}
	if c.r.Method != http.MethodGet && right != "" {
		c.tell(org.CloudCall{Service: "s3.amazonaws.com", Name: strings.Replace(right, "Put", map[string]string{"PUT": "Put", "DELETE": "Delete"}[c.r.Method], 1), Region: org.GlobalRegion}, f)
		if f == nil {
			c.s.Cloud.BlockPublic = p
			c.send(map[string]int{"PUT": http.StatusOK, "DELETE": http.StatusNoContent}[c.r.Method])
		}
	}
	if f != nil {
		c.fail(f)
	}
}

type aclXML struct {
	XMLName xml.Name   `xml:"AccessControlPolicy"`
	Xmlns   string     `xml:"xmlns,attr,omitempty"`
	Owner   owner      //
	Grants  []grantXML `xml:"AccessControlList>Grant"`
}

type grantXML struct {
	Grantee    granteeXML
	Permission string
}

type granteeXML struct {
	XSI  string `xml:"xmlns:xsi,attr,omitempty"`
	Type string `xml:"xsi:type,attr,omitempty"`
	ID   string `xml:",omitempty"`
	URI  string `xml:",omitempty"`
}

func (c *call) getACL(t *target) *failure {
	list := t.b.ACL
	if t.key != "" {
		v, f := c.version(t)
		if f != nil {
			return f
		}
		list = v.ACL
	}
	if t.b.NoACLs || t.log {
		list = []org.ACLGrant{{Grantee: org.CloudOwner, Right: "FULL_CONTROL"}}
	}
	out := aclXML{Xmlns: namespaceS3, Owner: owner{c.h.canonical(org.CloudOwner)}}
	for _, g := range list {
		who := granteeXML{XSI: "http://www.w3.org/2001/XMLSchema-instance", Type: "CanonicalUser", ID: c.h.canonical(g.Grantee)}
		if strings.HasPrefix(g.Grantee, "http") {
			who.Type, who.ID, who.URI = "Group", "", g.Grantee
		}
		out.Grants = append(out.Grants, grantXML{who, g.Right})
	}
	c.sendXML(http.StatusOK, out)
	return nil
}

// readACL returns the access list that a request sets.
func (c *call) readACL() ([]org.ACLGrant, *failure) {
	own := org.ACLGrant{Grantee: org.CloudOwner, Right: "FULL_CONTROL"}
	switch c.r.Header.Get("X-Amz-Acl") {
	case "private", "bucket-owner-full-control":
		return []org.ACLGrant{own}, nil
	case "public-read":
		return []org.ACLGrant{own, {Grantee: org.AllUsers, Right: "READ"}}, nil
	case "":
	default:
		return nil, refuse(http.StatusBadRequest, "InvalidArgument", "The sandbox knows no such canned ACL")
	}
	var x aclXML
	if xml.Unmarshal(c.body, &x) != nil {
		return nil, malformed()
	}
	var out []org.ACLGrant
	for _, g := range x.Grants {
		who := g.Grantee.URI
		if who == "" {
			who = c.h.grantee(g.Grantee.ID)
		}
		if who == "" || !slices.Contains([]string{"FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"}, g.Permission) {
			return nil, refuse(http.StatusBadRequest, "MalformedACLError", "The ACL that you provided was not well formed")
		}
		out = append(out, org.ACLGrant{Grantee: who, Right: g.Permission})
	}
	return out, nil
}

func (c *call) putACL(t *target) *failure {
	if t.b.NoACLs {
		return refuse(http.StatusBadRequest, "AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	list, f := c.readACL()
	switch {
	case f != nil:
		return f
	case publicACL(list) && c.blocks(t.b).BlockACLs:
		return refuse(http.StatusForbidden, "AccessDenied", "Access Denied: public access lists are blocked")
	case t.key == "":
		t.b.ACL = list
	default:
		v, f := c.version(t)
		if f != nil {
			return f
		}
		v.ACL = list
	}
	c.send(http.StatusOK)
	return nil
}
