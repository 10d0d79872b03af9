package googleworkspace

import (
	"encoding/binary"

	"weir/internal/sandbox/org"
)

// nobody is the id that stands for whoever has none.
const nobody = "105250506097979753968"

// qualifier makes items of one time differ: it can be less than 0.
func (h *Handler) qualifier(x *entry) int64 {
	b := h.hash("qualifier", x.e.N*8+x.n)
	return int64(binary.BigEndian.Uint64(b[:8]))
}

// regions have, for some, more than a country.
var regions = map[string]string{"US": "US-NY", "DE": "DE-BE", "GB": "GB-LND", "BR": "BR-SP", "ES": "ES-MD"}

// activityView is an item as the report tells.
func (h *Handler) activityView(s *org.State, x *entry, it item) object {
	f, e := &h.facts, x.e
	v := object{
		"kind": "admin#reports#activity",
		"id":   object{"time": stamp(e.At), f.UniqueQualifier: itoa(h.qualifier(x)), "applicationName": it.app, "customerId": h.customer},
		"etag": h.etag("activity", e.N, x.n), "actor": h.actorView(s, e, it),
	}
	if e.Client.IP != "" {
		v[f.IPAddress] = e.Client.IP
		if e.Client.CountryCode != "" {
			net := object{"ipAsn": []int64{e.Client.ASN}, f.RegionCode: e.Client.CountryCode}
			if r := regions[e.Client.CountryCode]; r != "" {
				net["subdivisionCode"] = r
			}
			v["networkInfo"] = net
		}
	}
	if it.app == "drive" || it.app == "admin" {
		v["ownerDomain"] = s.Domain
	}
	var events []object
	for _, one := range it.events {
		o := object{"type": one.Type, "name": one.Name}
		if params := h.paramViews(one.Params); len(params) > 0 {
			o[f.Parameters] = params
		}
		switch {
		case it.failed != "":
			o["status"] = object{"eventStatus": "FAILED", "errorCode": "PERMISSION_DENIED", "errorMessage": it.failed, "httpStatusCode": 403}
		case it.app == "admin":
			o["status"] = object{"eventStatus": "SUCCEEDED"}
		}
		events = append(events, o)
	}
	v[f.Events] = events
	return v
}

// actorView is who did it. The directory's own service account is a key, what the
// agent does is somebody's doing through it.
func (h *Handler) actorView(s *org.State, e *org.Event, it item) object {
	f := &h.facts
	switch e.Actor.Kind {
	case org.AccountRef:
		a := s.Accounts[app][e.Actor.N]
		v := object{f.ActorEmail: a.Login, f.Profile: h.userID(a.N)}
		if it.app != "login" && it.app != "user_accounts" {
			v[f.CallerType] = "USER"
		}
		if in := h.throughApp(s, e); in != nil {
			v["applicationInfo"] = object{"oauthClientId": h.clientID(in), "applicationName": in.Label, "impersonation": true}
		}
		return v
	case org.IntegrationRef:
		return object{f.CallerType: "KEY", "key": h.serviceEmail(s, s.Integrations[app][e.Actor.N])}
	case org.AnonymousRef:
		return object{f.ActorEmail: "", f.Profile: nobody}
	default:
	}
	return object{}
}

// throughApp is the app through which an account acted; nil: it was the person.
func (h *Handler) throughApp(s *org.State, e *org.Event) *org.Integration {
	if e.Via.Kind == org.IntegrationRef {
		return s.Integrations[app][e.Via.N]
	}
	return nil
}

// paramViews are parameters: each has one value, or none.
func (h *Handler) paramViews(list []org.Param) (out []object) {
	for _, p := range list {
		v := object{"name": p.Name}
		switch x := p.Value.(type) {
		case string:
			v["value"] = x
		case int64:
			v["intValue"] = itoa(x)
		case bool:
			v["boolValue"] = x
		case []string:
			v["multiValue"] = x
		case []int64:
			texts := make([]string, len(x))
			for i := range x {
				texts[i] = itoa(x[i])
			}
			v["multiIntValue"] = texts
		case []org.Param:
			v["messageValue"] = object{"parameter": h.paramViews(x)}
		case [][]org.Param:
			var many []object
			for _, m := range x {
				many = append(many, object{"parameter": h.paramViews(m)})
			}
			v["multiMessageValue"] = many
		}
		out = append(out, v)
	}
	return out
}
