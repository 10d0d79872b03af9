package org

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The cloud's regions: where its buckets are, and where the vendor's global
// services tell what happens to them.
const (
	CloudRegion  = "eu-central-1"
	GlobalRegion = "us-east-1"
)

// Canonical ids of accounts, and groups, that access lists name.
const (
	CloudOwner   = "owner"
	CloudPartner = "partner"
	AllUsers     = "http://acs.amazonaws.com/groups/global/AllUsers"
)

// Partner is the account of another company that something is shared with.
const Partner = "999988887777"

// Names of the agent's own identities.
const (
	AgentUser       = "weir"
	AgentReadRole   = "WeirRead"
	AgentGovernRole = "WeirGovern"
)

const maxCloudUsers = 1000

func (b *builder) makeCloud() {
	b.Cloud = &Cloud{Trail: b.State.Name + "-trail"}
	b.cloudUsers()
	b.cloudRoles()
	b.buckets()
}

// cloudUsers have engineers, their machines, and some who have left since.
func (b *builder) cloudUsers() {
	c := b.Cloud
	c.Users = append(c.Users, &CloudUser{
		Person: -1, Name: AgentUser, Created: b.Born, Attached: []string{"AdministratorAccess"},
		Keys: []AccessKey{{N: 0, Active: true, Created: b.Born}},
	})
	keys := 1
	for _, p := range b.People {
		engineer := p.N < 3
		for _, d := range departments {
			engineer = engineer || d.name == p.Department && b.rand.Float64() < d.engineers
		}
		if !engineer && !p.Service || len(c.Users) >= maxCloudUsers {
			continue
		}
		u := &CloudUser{N: len(c.Users), Person: p.N, Name: p.Email, Created: b.before(p.Joined), Attached: []string{"ReadOnlyAccess"}}
		if !p.Outside {
			u.Name, _, _ = strings.Cut(p.Email, "@")
		}
		switch {
		case len(c.Users) < 3:
			u.Attached = []string{"AdministratorAccess"}
		case b.chance(0.3):
			u.Attached = append(u.Attached, "AmazonS3FullAccess")
		}
		if !p.Service {
			u.Login = &Login{Created: u.Created, Used: b.recent(u.Created, 30*24*time.Hour)}
			u.MFA = !b.chance(0.15)
		}
		for range b.rand.IntN(3) + min(1, len(c.Users)%2) {
			if len(u.Keys) == 2 { // there are no more
				break
			}
			k := AccessKey{N: keys, Active: !b.chance(0.2), Created: b.before(u.Created)}
			if keys++; b.chance(0.8) {
				k.LastUsed, k.Service = b.before(k.Created), pick(b.rand, []string{"s3", "iam", "sts", "ec2"})
			}
			u.Keys = append(u.Keys, k)
		}
		if b.chance(0.2) {
			u.Policies = append(u.Policies, InlinePolicy{"own-folder", fmt.Sprintf(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::%s-data/home/%s/*"}]}`, b.State.Name, u.Name)})
		}
		c.Users = append(c.Users, u)
	}
}

func (b *builder) cloudRoles() {
	for _, r := range []CloudRole{
		{Name: AgentReadRole, Trusts: "agent", ExternalID: "sandbox-external-id", Attached: []string{"ReadOnlyAccess"}},
		{Name: AgentGovernRole, Trusts: "agent", ExternalID: "sandbox-external-id", Attached: []string{"AdministratorAccess"}},
		{Name: "deploy", Trusts: "ec2.amazonaws.com", Attached: []string{"PowerUserAccess"}},
		{Name: "etl", Trusts: "lambda.amazonaws.com", Policies: []InlinePolicy{{"read-data", fmt.Sprintf(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s-data/*"}]}`, b.State.Name)}}},
		{Name: "AWSServiceRoleForSupport", Path: "/aws-service-role/support.amazonaws.com/", Trusts: "support.amazonaws.com", Unmodifiable: true},
		{Name: "AWSReservedSSO_Operators_0123456789abcdef", Path: "/aws-reserved/sso.amazonaws.com/", Trusts: "sso.amazonaws.com", Unmodifiable: true},
	} {
		if r.Path == "" {
			r.Path = "/"
		}
		r.N, r.Created = len(b.Cloud.Roles), b.before(b.Born)
		b.Cloud.Roles = append(b.Cloud.Roles, &r)
	}
}

// buckets are one of each kind that governance meets.
func (b *builder) buckets() {
	name := b.State.Name
	add := func(x Bucket) *Bucket {
		x.Name, x.Created = name+"-"+x.Name, b.before(b.Born)
		x.ACL = []ACLGrant{{CloudOwner, "FULL_CONTROL"}}
		b.Cloud.Buckets = append(b.Cloud.Buckets, &x)
		return &x
	}
	closed := &PublicBlock{true, true, true, true}
	assets := add(Bucket{Name: "assets", Region: CloudRegion})
	data := add(Bucket{Name: "data", Region: CloudRegion, Versioning: "Enabled", NoACLs: true, Block: &PublicBlock{BlockACLs: true, IgnoreACLs: true}})
	backup := add(Bucket{Name: "backup", Region: CloudRegion, Versioning: "Suspended", NoACLs: true, Block: closed})
	web := add(Bucket{Name: "web", Region: CloudRegion, Versioning: "Enabled"})
	add(Bucket{Name: "quarantine", Region: CloudRegion, Versioning: "Enabled", NoACLs: true, Block: closed})
	data.Policy = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Partner","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/shared/*"}]}`, Partner, data.Name)
	web.Policy = fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Public","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"}]}`, web.Name)

	for i := range min(20+b.people/2, 2000) {
		bucket := pick(b.rand, []*Bucket{assets, data, data, backup, web})
		word, ext := pick(b.rand, words), pick(b.rand, []string{"csv", "pdf", "json", "txt"})
		folder := pick(b.rand, []string{"", "shared/", "reports/2026/", "home/über uns/", "a+b/"})
		b.object(bucket, fmt.Sprintf("%s%s-%d.%s", folder, word, i, ext), word)
	}
	for _, fixed := range []struct {
		in         *Bucket
		key        string
		acl        []ACLGrant
		class      string
		held, gone bool
	}{
		{in: assets, key: "public/logo.txt", acl: []ACLGrant{{CloudOwner, "FULL_CONTROL"}, {AllUsers, "READ"}}},
		{in: assets, key: "partner/prices.csv", acl: []ACLGrant{{CloudOwner, "FULL_CONTROL"}, {CloudPartner, "READ"}}},
		{in: backup, key: "old/archive.csv", class: "GLACIER"},
		{in: data, key: "legal/hold.txt", held: true},
		{in: data, key: "reports/deleted.csv", gone: true},
	} {
		v := b.object(fixed.in, fixed.key, "content")
		v.Class, v.Held = fixed.class, fixed.held
		if fixed.acl != nil {
			v.ACL = fixed.acl
		}
		if fixed.gone {
			b.Put(fixed.in, fixed.key, &Version{Marker: true, Modified: b.before(v.Modified)})
		}
	}
}

// object adds an object, where versions are kept sometimes with older ones.
func (b *builder) object(bucket *Bucket, key, word string) (v *Version) {
	at := b.before(bucket.Created)
	for i := range 1 + b.rand.IntN(3)*min(1, len(bucket.Versioning)) {
		if i > 0 {
			at = b.before(at)
		}
		v = &Version{
			Body: []byte(strings.Repeat(fmt.Sprintf("%s %d\n", word, i), 1+b.rand.IntN(60))), Type: "application/octet-stream",
			Modified: at, ACL: slices.Clone(bucket.ACL), Meta: []Change{{Name: "source", New: word}},
		}
		if b.chance(0.3) {
			v.Tags = []Change{{Name: "class", New: pick(b.rand, []string{"internal", "public", "secret"})}}
		}
		b.Put(bucket, key, v)
	}
	return v
}
