package org

import (
	"slices"
	"strings"
	"time"
)

// Cloud is the organization's account at Amazon Web Services. Its entities stand
// in no other list of State. Their numbers N are never used again.
type Cloud struct {
	Users       []*CloudUser
	Roles       []*CloudRole
	Buckets     []*Bucket
	BlockPublic *PublicBlock // of the account; nil: never set
	Trail       string       // name of the bucket that the trail's log files go to; it is none of Buckets

	versions int
}

// CloudUser is an identity with a password, access keys, or both.
type CloudUser struct {
	N, Person int // -1: nobody's
	Name      string
	Created   time.Time
	Login     *Login // nil: no password
	Keys      []AccessKey
	Attached  []string // names of the vendor's own policies
	Policies  []InlinePolicy
	MFA       bool
}

// Login is a password for the console.
type Login struct {
	Created time.Time
	Reset   bool // a new one must be chosen
	Used    time.Time
}

// AccessKey is a long-lived credential of a user.
type AccessKey struct {
	N                 int
	Active            bool
	Created, LastUsed time.Time
	Service           string // last used with
}

// InlinePolicy is a policy that one user or role holds alone.
type InlinePolicy struct{ Name, Document string }

// CloudRole is a set of rights that others take on for a while.
type CloudRole struct {
	N            int
	Name, Path   string
	Created      time.Time
	Trusts       string // what may take it on: a service, or "agent"
	ExternalID   string // that it asks for
	Attached     []string
	Policies     []InlinePolicy
	Unmodifiable bool // but by the vendor
	LastUsed     time.Time
}

// PublicBlock are the four switches against public access.
type PublicBlock struct{ BlockACLs, IgnoreACLs, BlockPolicy, RestrictBuckets bool }

// Bucket holds objects.
type Bucket struct {
	Name, Region string
	Created      time.Time
	Versioning   string // Enabled, Suspended; "": never
	NoACLs       bool   // the owner owns everything: access lists are off
	ACL          []ACLGrant
	Policy       string // "" none
	Block        *PublicBlock
	Objects      []*Object // by key; each has a version
}

// ACLGrant is one entry of an access list.
type ACLGrant struct {
	Grantee string // canonical id of an account, or URI of a group
	Right   string // FULL_CONTROL READ WRITE READ_ACP WRITE_ACP
}

// Object is a key with its versions, the oldest first.
type Object struct {
	Key      string
	Versions []*Version
}

// Version is one content of an object.
type Version struct {
	N        int  // -1: the null version, of a bucket that keeps none
	Marker   bool // it is deleted
	Body     []byte
	Type     string
	Modified time.Time
	Meta     []Change // name and New
	Tags     []Change
	ACL      []ACLGrant
	Class    string // of storage; "" STANDARD
	Held     bool   // legal hold
}

// User returns a user by name, or nil.
func (c *Cloud) User(name string) *CloudUser {
	for _, u := range c.Users {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// Role returns a role by name, or nil.
func (c *Cloud) Role(name string) *CloudRole {
	for _, r := range c.Roles {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Bucket returns a bucket by name, or nil.
func (c *Cloud) Bucket(name string) *Bucket {
	for _, b := range c.Buckets {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// Current is the latest version.
func (o *Object) Current() *Version { return o.Versions[len(o.Versions)-1] }

// Find returns the place of a key, and whether it is there.
func (b *Bucket) Find(key string) (int, bool) {
	return slices.BinarySearchFunc(b.Objects, key, func(o *Object, key string) int { return strings.Compare(o.Key, key) })
}

// Object returns the object of a key, or nil.
func (b *Bucket) Object(key string) *Object {
	if i, ok := b.Find(key); ok {
		return b.Objects[i]
	}
	return nil
}

// Put adds a version of a key as the bucket's versioning has it: kept beside the
// older ones, or in the place of the null version.
func (s *State) Put(b *Bucket, key string, v *Version) {
	i, ok := b.Find(key)
	if !ok {
		b.Objects = slices.Insert(b.Objects, i, &Object{Key: key})
	}
	o := b.Objects[i]
	if v.N = -1; b.Versioning == "Enabled" {
		v.N = s.Cloud.versions
		s.Cloud.versions++
	} else {
		o.Versions = slices.DeleteFunc(o.Versions, func(old *Version) bool { return old.N == -1 })
	}
	o.Versions = append(o.Versions, v)
}

// Drop removes a version for good.
func (b *Bucket) Drop(key string, v *Version) {
	i, ok := b.Find(key)
	if !ok {
		return
	}
	o := b.Objects[i]
	o.Versions = slices.DeleteFunc(o.Versions, func(x *Version) bool { return x == v })
	if len(o.Versions) == 0 {
		b.Objects = slices.Delete(b.Objects, i, i+1)
	}
}

// Policy returns the place of an inline policy, or -1.
func Policy(list []InlinePolicy, name string) int {
	return slices.IndexFunc(list, func(p InlinePolicy) bool { return p.Name == name })
}

// CloudCall is a call to the cloud as its trail tells of it.
type CloudCall struct {
	Service, Name string   // "iam.amazonaws.com", "PutUserPolicy"
	Region        string   //
	Params        []Change // name and New, in the vendor's order
	Bucket, Key   string   // where it is about a bucket or an object
	ReadOnly      bool
}

// Call records a call that was made, or that was refused for a reason: code and
// text. Changes are made along with it: within World.Change.
func (s *State) Call(x *Act, c CloudCall, refused ...string) {
	e := x.event(CloudCalled)
	e.Call = &c
	if len(refused) > 0 {
		e.Failed, e.Reason, e.Text = true, refused[0], refused[1]
	}
	s.record(AWS, &e)
}
