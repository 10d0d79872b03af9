package org

import (
	"fmt"
	"math/rand/v2"
)

// planCloud lets people and machines use the cloud. It draws from a source of
// its own, so that the other apps' life is the same without it.
func (l *life) planCloud(r *rand.Rand, start int64, perDay float64) {
	mean := wakingDay / (float64(len(l.Cloud.Users)) * min(perDay, 8) / 8)
	var again func()
	next := func() int64 { return int64(r.ExpFloat64()*mean + 1) }
	again = func() {
		if r.Float64() < wakeful(l.journal.now, 0) {
			l.useCloud(r)
		}
		l.later.push(l.journal.now+next(), again)
	}
	l.later.push(start+next(), again)
}

// useCloud is one thing that somebody does.
func (l *life) useCloud(r *rand.Rand) {
	c := l.Cloud
	u := c.Users[r.IntN(len(c.Users))]
	if u.Person < 0 {
		return
	}
	p := l.People[u.Person]
	x := &Act{At: l.at(), Actor: Ref{Kind: CloudUserRef, N: u.N}, Client: &p.Home, MFA: u.MFA}
	if !p.Left.IsZero() {
		return
	}
	if u.Login != nil && (len(u.Keys) == 0 || r.IntN(2) == 0) {
		call := CloudCall{Service: "signin.amazonaws.com", Name: "ConsoleLogin", Region: CloudRegion}
		if r.IntN(20) == 0 {
			l.Call(x, call, "", "Failed authentication")
			return
		}
		u.Login.Used = x.At
		l.Call(x, call)
		return
	}
	if len(u.Keys) == 0 || !u.Keys[0].Active {
		return
	}
	k := &u.Keys[0]
	x.Via, x.MFA = Ref{Kind: GrantRef, N: k.N}, false
	k.LastUsed = x.At
	if r.IntN(3) == 0 {
		k.Service = "sts"
		role := c.Roles[2+r.IntN(2)]
		call := CloudCall{Service: "sts.amazonaws.com", Name: "AssumeRole", Region: CloudRegion, ReadOnly: true, Params: []Change{
			{Name: "roleArn", New: "role/" + role.Name}, {Name: "roleSessionName", New: fmt.Sprintf("job-%d", r.IntN(1000))},
		}}
		if r.IntN(5) == 0 {
			l.Call(x, call, "AccessDenied", "User is not authorized to perform: sts:AssumeRole")
			return
		}
		l.Call(x, call)
		return
	}
	k.Service = "s3"
	b := c.Buckets[r.IntN(4)]
	if len(b.Objects) == 0 {
		return
	}
	o := b.Objects[r.IntN(len(b.Objects))]
	if o.Current().Marker {
		return
	}
	l.Call(x, CloudCall{Service: "s3.amazonaws.com", Name: "GetObject", Region: b.Region, ReadOnly: true, Bucket: b.Name, Key: o.Key})
}
