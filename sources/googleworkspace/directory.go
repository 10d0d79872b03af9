package googleworkspace

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Tables of entities.
const (
	tableAccounts   = "accounts"
	tableGroups     = "groups"
	tableMembers    = "group_members"
	tablePrivileges = "privileges"
	tableApps       = "apps"
	tableAppGrants  = "app_grants"
)

var (
	infoAccounts = sources.StreamInfo{
		Name: "accounts", Shape: sources.Scan, Tables: []string{tableAccounts},
		Every: 30 * time.Minute, Mapping: 1,
		Doc: "users, and those deleted within the last 20 days",
	}
	infoGroups = sources.StreamInfo{
		Name: "groups", Shape: sources.Scan, Tables: []string{tableGroups, tableMembers},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "groups and their direct members",
	}
	infoPrivileges = sources.StreamInfo{
		Name: "privileges", Shape: sources.Scan, Tables: []string{tablePrivileges},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "admin roles of users, groups and service accounts, and super administrators",
	}
	infoApps = sources.StreamInfo{
		Name: "apps", Shape: sources.Scan, Tables: []string{tableApps, tableAppGrants},
		Every: 6 * time.Hour, Disjoint: true, Shared: []string{tableApps}, Mapping: 1,
		Doc: "what users allowed apps, the apps, and app passwords",
	}

	directoryInfos = []sources.StreamInfo{infoAccounts, infoGroups, infoPrivileges, infoApps}
)

func (s *session) directoryStreams() []sources.Stream {
	return []sources.Stream{
		{Info: infoAccounts, Read: s.readAccounts, Ask: s.askAccount},
		{Info: infoGroups, Lanes: s.groupLanes, Read: s.readGroups, Ask: s.askGroup},
		{Info: infoPrivileges, Lanes: privilegeLanes, Read: s.readPrivileges, Ask: s.askPrivilege},
		{Info: infoApps, Lanes: s.appLanes, Read: s.readApps},
	}
}

// directoryState is what a session knows of the directory, to look up.
type directoryState struct {
	people  remembered[*people]
	domains remembered[domains]
}

func (d *directoryState) init() {
	d.people.init()
	d.domains.init()
}

// lookupLife is how long what was looked up is used.
const lookupLife = 15 * time.Minute

// remembered is what is asked for again after a while, once for all who want
// it.
type remembered[T any] struct {
	turn  chan struct{} // holds one
	value T
	until time.Time
}

func (r *remembered[T]) init() { r.turn = make(chan struct{}, 1) }

// get returns the value, or asks for it where it is older than it may be.
func (r *remembered[T]) get(ctx context.Context, now func() time.Time, ask func() (T, error)) (T, error) {
	var none T
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if now().Before(r.until) {
		return r.value, nil
	}
	value, err := ask()
	if err != nil {
		return none, err
	}
	r.value, r.until = value, now().Add(lookupLife)
	return value, nil
}

// domains are a customer's own, with their aliases, lower case; nil: unknown,
// since the scope for them is missing.
type domains map[string]bool

// external tells whether an address or domain is outside of the customer.
func (d domains) external(address string) schemas.Opt[bool] {
	if d == nil || address == "" {
		return schemas.Opt[bool]{}
	}
	return schemas.Some(!d[strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])])
}

// domains returns the customer's own, which it asks for again after a while.
func (s *session) domains(ctx context.Context) (domains, error) {
	return s.directory.domains.get(ctx, s.env.Clock.Now, func() (domains, error) {
		out := domains{}
		err := s.each(ctx, listing{client: s.admin(scopeDomains), path: httpx.P(pathDomains, s.cfg.Customer), kind: "admin#directory#domains", member: "domains"}, func(raw []byte) error {
			var d struct {
				Name    text `json:"domainName"`
				Aliases many[struct {
					Name text `json:"domainAliasName"`
				}] `json:"domainAliases"`
			}
			if err := decode(raw, &d); err != nil {
				return err // without it, somebody inside would be taken for an outsider
			}
			out[strings.Clone(lower(d.Name))] = true
			for _, a := range d.Aliases {
				out[strings.Clone(lower(a.Name))] = true
			}
			return nil
		})
		if denied(err) {
			return nil, nil
		}
		return out, err
	})
}

// people are the ids of accounts and groups, by e-mail address, lower case,
// aliases too. groups is nil where groups may not be listed.
type people struct {
	accounts, groups map[string]string
	ids              map[string]bool // of accounts
	asked            bool            // all accounts are known
}

// people returns who has which address, which it asks for again after a while:
// an account or group that is new may be missing. Without the scope for
// accounts, nobody is known; without that for groups, groups is nil.
func (s *session) people(ctx context.Context) (*people, error) {
	return s.directory.people.get(ctx, s.env.Clock.Now, func() (*people, error) {
		p := &people{accounts: map[string]string{}, ids: map[string]bool{}}
		strange := false
		err := s.each(ctx, s.users("users(id,primaryEmail,aliases,nonEditableAliases)"), func(raw []byte) error {
			var u wireUser
			if decode(raw, &u) != nil || u.ID == "" {
				strange = true // it may be anybody
				return nil
			}
			id := strings.Clone(string(u.ID))
			p.ids[id] = true
			for _, e := range addresses(u.PrimaryEmail, u.Aliases, u.FixedAliases) {
				p.accounts[strings.Clone(e)] = id
			}
			return nil
		})
		p.asked = err == nil && !strange
		if err != nil && !denied(err) {
			return nil, err
		}
		groups := map[string]string{}
		err = s.each(ctx, s.groups("groups(id,email,aliases,nonEditableAliases)"), func(raw []byte) error {
			var g wireGroup
			if decode(raw, &g) != nil {
				return nil
			}
			id := strings.Clone(string(g.ID))
			for _, e := range addresses(g.Email, g.Aliases, g.FixedAliases) {
				groups[strings.Clone(e)] = id
			}
			return nil
		})
		switch {
		case err == nil:
			p.groups = groups
		case !denied(err):
			return nil, err
		}
		return p, nil
	})
}

// users lists the users that exist, ordered by address; fields "" is all of
// them.
func (s *session) users(fields string) listing {
	query := url.Values{"maxResults": {"500"}, "projection": {"full"}, "orderBy": {"email"}}
	if fields != "" {
		query.Del("projection")
		query.Set("fields", "kind,nextPageToken,"+fields)
	}
	return listing{client: s.admin(scopeUsers), path: httpx.P(pathUsers), query: s.all(query), kind: "admin#directory#users", member: "users"}
}

// deletedUsers lists those deleted within the last 20 days alone.
func (s *session) deletedUsers() listing {
	l := s.users("")
	l.query.Set("showDeleted", "true")
	return l
}

// groups lists the groups; fields "" is all of them.
func (s *session) groups(fields string) listing {
	query := url.Values{"maxResults": {"200"}, "orderBy": {"email"}}
	if fields != "" {
		query.Set("fields", "kind,nextPageToken,"+fields)
	}
	return listing{client: s.admin(scopeGroups), path: httpx.P(pathGroups), query: s.all(query), kind: "admin#directory#groups", member: "groups"}
}

// all adds to a query whose users or groups are listed.
func (s *session) all(query url.Values) url.Values {
	if s.cfg.Domain != "" {
		query.Set("domain", s.cfg.Domain)
	} else {
		query.Set("customer", s.cfg.Customer)
	}
	return query
}

// known tells whether a table is one of those that can be asked for by one id.
func known(table string, key []string, tables ...string) bool {
	return len(key) == 1 && slices.Contains(tables, table)
}
