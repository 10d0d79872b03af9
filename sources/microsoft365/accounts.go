package microsoft365

import (
	"context"
	"iter"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of accounts.
const (
	laneUsers    = "users" // and, in a second listing, those deleted: a user is in one of the two
	laneServices = "service_principals"

	phaseDeleted = "deleted"
)

// What is asked of users and service principals. A delta shows changes of what
// was selected at its beginning alone.
const (
	selectUser = "id,userPrincipalName,mail,displayName,accountEnabled,userType,externalUserState,creationType,createdDateTime,deletedDateTime," +
		"department,jobTitle,companyName,officeLocation,employeeId,employeeType,onPremisesSyncEnabled,onPremisesDistinguishedName," +
		"lastPasswordChangeDateTime,signInSessionsValidFromDateTime,isManagementRestricted"
	selectService = "id,appId,displayName,servicePrincipalType,accountEnabled,appOwnerOrganizationId,createdDateTime,tags,verifiedPublisher," +
		"publisherName,replyUrls,passwordCredentials,keyCredentials,disabledByMicrosoftStatus"
)

// selected is the query of a listing in pages of the vendor's greatest size.
func selected(columns string) url.Values {
	return url.Values{"$select": {columns}, "$top": {"999"}}
}

var (
	allUsers = listing{path: httpx.P(pathUsers), query: url.Values{"$select": {selectUser}, "$expand": {"manager($select=id)"}, "$top": {"999"}}}
	// When users signed in last is asked for apart: tenants without a licence for
	// it refuse the whole request, and its pages are smaller.
	lastSignIns   = listing{path: httpx.P(pathUsers), query: url.Values{"$select": {"id,signInActivity"}, "$top": {"120"}}}
	registrations = listing{path: httpx.P(pathRegistrations), query: url.Values{"$top": {"999"}}}
	deletedUsers  = listing{path: httpx.P(pathDeletedUsers), query: selected(selectUser)}
	allServices   = listing{path: httpx.P(pathServices), query: selected(selectService)}
)

func (s *session) accountLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneUsers, laneServices)
}

// readAccounts reads one lane.
func (s *session) readAccounts(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneUsers:
		return s.readAll(ctx, c, pathUsersDelta, selectUser, s.userSide, func(side *accountSide, phase string) (l listing, f mapElement, next string) {
			if phase == phaseDeleted {
				return deletedUsers, side.addDeleted, ""
			}
			return allUsers, side.addUser, phaseDeleted
		})
	case laneServices:
		return s.readAll(ctx, c, pathServicesDelta, selectService, s.roleSide, func(side *accountSide, _ string) (l listing, f mapElement, next string) {
			return allServices, side.addService, ""
		})
	}
	return failed(fault.New(fault.Permanent, "microsoft365 has no lane %q of accounts", l.ID))
}

// readAll reads the listings of a lane that has a delta, which begins where the
// reading did.
func (s *session) readAll(ctx context.Context, c sources.Cursor, deltaPath, columns string, gather func(context.Context) (*accountSide, error),
	phases func(side *accountSide, phase string) (l listing, f mapElement, next string),
) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		if err == nil && c == "" {
			at.Delta, err = s.now(ctx, deltaPath, columns)
		}
		var side *accountSide
		if err == nil {
			side, err = gather(ctx)
		}
		w := newWalk(s, at, yield)
		for err == nil {
			l, f, next := phases(side, w.at.Phase)
			var to links
			if to, err = w.step(ctx, l, f); err != nil {
				break
			}
			if w.at.At, w.at.Done = to.next, ""; to.next == "" {
				if next == "" {
					w.end()
					return
				}
				w.at.Phase = next
			}
			if !w.flush(true) {
				return
			}
		}
		w.fail(err)
	}
}

// accountSide is what a reading knows beside the listing, from other places:
// known is false where they were refused, or not all was understood.
type accountSide struct {
	roles struct {
		known bool
		ids   map[string]struct{} // of who holds a directory role
	}
	logins struct {
		known bool
		at    map[string]schemas.Time
	}
	factors struct {
		known bool
		of    map[string]registration
	}
}

type registration struct{ admin, mfa schemas.Opt[bool] }

func (s *session) userSide(ctx context.Context) (*accountSide, error) {
	side, err := s.roleSide(ctx)
	if err == nil {
		side.logins.known, err = s.lastLogins(ctx, side)
	}
	if err == nil {
		side.factors.known, err = s.secondFactors(ctx, side)
	}
	return side, err
}

func (s *session) roleSide(ctx context.Context) (side *accountSide, err error) {
	side = &accountSide{}
	side.roles.known, err = s.holders(ctx, side)
	return side, err
}

// known tells whether an answer was had; a refusal is no error of a reading that
// can do without it.
func known(err error) (bool, error) {
	if denied(err) {
		return false, nil
	}
	return err == nil, err
}

// addUser maps a user. What a delta cannot show, or what was refused, is not
// asked.
func (side *accountSide) addUser(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	row, reason := side.user(raw)
	if reason == "" {
		w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
	}
	return reason, nil
}

// addDeleted maps a deleted user, of whom is not told who the manager was.
func (side *accountSide) addDeleted(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	row, reason := side.user(raw)
	if reason == "" {
		row.Status = "deleted"
		row.NotAsked = append(row.NotAsked, "manager_id")
		w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
	}
	return reason, nil
}

func (side *accountSide) user(raw []byte) (row schemas.Account, reason string) {
	var u wireUser
	if err := decode(raw, &u); err != nil {
		return row, err.Error()
	}
	if u.ID == "" {
		return row, "the user has no id"
	}
	row.Raw = alias(raw)
	mapUser(&row, &u)
	report, reported := side.factors.of[row.AccountID]
	side.admin(&row, report.admin)
	row.MFAEnabled, row.LastLoginAt = report.mfa, side.logins.at[row.AccountID]
	if !side.factors.known && !reported {
		row.NotAsked = append(row.NotAsked, "mfa_enabled")
	}
	if !side.logins.known && row.LastLoginAt == 0 {
		row.NotAsked = append(row.NotAsked, "last_login_at")
	}
	return row, ""
}

// admin tells whether somebody is an administrator: by the roles or, where they
// may not be read, by another report.
func (side *accountSide) admin(row *schemas.Account, report schemas.Opt[bool]) {
	_, holds := side.roles.ids[row.AccountID]
	switch {
	case side.roles.known:
		row.IsAdmin = schemas.Some(holds || report.Value)
	case report.Known:
		row.IsAdmin = report
	default:
		row.NotAsked = append(row.NotAsked, "is_admin")
	}
}

func (side *accountSide) addService(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var p wireService
	if err := decode(raw, &p); err != nil {
		return err.Error(), nil
	}
	if p.ID == "" {
		return "the service principal has no id", nil
	}
	row := schemas.Account{Raw: alias(raw)}
	mapServiceAccount(&row, &p, w.s.tenant)
	side.admin(&row, schemas.Opt[bool]{})
	w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
	return "", nil
}

// deltaAccounts reads what changed in a lane.
func (s *session) deltaAccounts(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	d := &accountDelta{}
	if l.ID == laneServices {
		return s.delta(ctx, pathServicesDelta, c, d.service)
	}
	return s.delta(ctx, pathUsersDelta, c, d.user)
}

// accountDelta maps what a delta shows. What it needs beside is asked for when
// there is a change at all.
type accountDelta struct {
	side    *accountSide
	deleted map[string]string // records of deleted users by id; nil: not asked yet
}

func (d *accountDelta) gather(ctx context.Context, s *session) (err error) {
	if d.side == nil {
		d.side, err = s.roleSide(ctx)
	}
	if err != nil {
		d.side = nil
	}
	return err
}

func (d *accountDelta) user(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
	var o wireObject
	if err := decode(raw, &o); err != nil {
		return err.Error(), nil
	}
	if err := d.gather(ctx, w.s); err != nil {
		return "", err
	}
	if o.Removed != nil && o.ID != "" {
		return d.removed(ctx, w, string(o.ID), o.Removed)
	}
	row, reason := d.side.user(raw)
	if reason == "" {
		row.NotAsked = append(row.NotAsked, "manager_id") // a delta expands nothing
		w.page.Rows.Accounts = append(w.page.Rows.Accounts, row)
	}
	return reason, nil
}

// removed looks for a user that can be restored among the deleted ones.
func (d *accountDelta) removed(ctx context.Context, w *walk, id string, r *wireRemoved) (reason string, err error) {
	if r.reason() == "soft_deleted" && d.deleted == nil {
		d.deleted = map[string]string{}
		if err := w.s.each(ctx, deletedUsers, func(raw []byte) error {
			d.deleted[strings.Clone(elementID(raw))] = string(raw)
			return nil
		}); err != nil {
			d.deleted = nil
			return "", err
		}
	}
	if raw, ok := d.deleted[id]; ok {
		return d.side.addDeleted(ctx, w, []byte(raw))
	}
	w.gone(tableAccounts, r.reason(), id)
	return "", nil
}

func (d *accountDelta) service(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
	var o wireObject
	if err := decode(raw, &o); err != nil {
		return err.Error(), nil
	}
	if o.Removed != nil && o.ID != "" {
		w.gone(tableAccounts, o.Removed.reason(), string(o.ID))
		return "", nil
	}
	if err := d.gather(ctx, w.s); err != nil {
		return "", err
	}
	return d.side.addService(ctx, w, raw)
}

// holders gathers who holds a directory role, directly or through a group.
func (s *session) holders(ctx context.Context, side *accountSide) (bool, error) {
	ids, groups := map[string]struct{}{}, map[string]struct{}{}
	all, err := s.understood(ctx, assignments, func(raw []byte) bool {
		var a wireAssignment
		if decode(raw, &a) != nil || a.PrincipalID == "" {
			return false
		}
		id := strings.Clone(string(a.PrincipalID))
		if ids[id] = struct{}{}; a.Principal.Type == typeGroup {
			groups[id] = struct{}{}
		}
		return true
	})
	for id := range groups {
		if err != nil {
			break
		}
		var some bool
		some, err = s.understood(ctx, listing{path: httpx.P(pathAllMembers, id), query: selected("id")}, func(raw []byte) bool {
			id := elementID(raw)
			ids[strings.Clone(id)] = struct{}{}
			return id != ""
		})
		if isGone(err) {
			some, err = true, nil
		}
		all = all && some
	}
	side.roles.ids = ids
	return all, err
}

// lastLogins gathers when users signed in last: with success, or, where the
// vendor does not tell that, at all.
func (s *session) lastLogins(ctx context.Context, side *accountSide) (bool, error) {
	side.logins.at = map[string]schemas.Time{}
	return s.understood(ctx, lastSignIns, func(raw []byte) bool {
		var u wireSignIns
		if decode(raw, &u) != nil || u.ID == "" {
			return false
		}
		at := parseTime(u.Activity.Successful)
		if at == 0 {
			at = max(parseTime(u.Activity.Interactive), parseTime(u.Activity.NonInteractive))
		}
		if at != 0 {
			side.logins.at[strings.Clone(string(u.ID))] = at
		}
		return true
	})
}

// secondFactors gathers the report on authentication methods. It leaves out
// disabled users.
func (s *session) secondFactors(ctx context.Context, side *accountSide) (bool, error) {
	side.factors.of = map[string]registration{}
	return s.understood(ctx, registrations, func(raw []byte) bool {
		var r wireRegistration
		if decode(raw, &r) != nil || r.ID == "" {
			return false
		}
		side.factors.of[strings.Clone(string(r.ID))] = registration{admin: opt(r.Admin), mfa: opt(r.Registered)}
		return true
	})
}

// understood reads a listing that accounts have columns from, and tells whether
// all of it is known: nothing was refused, and take understood each record. What
// is missing of one that it did not may be anybody's.
func (s *session) understood(ctx context.Context, l listing, take func(raw []byte) bool) (bool, error) {
	all := true
	ok, err := known(s.each(ctx, l, func(raw []byte) error {
		all = take(raw) && all
		return nil
	}))
	return ok && all, err
}

// askAccount asks for one user or service principal: the id does not say which.
func (s *session) askAccount(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if table != tableAccounts || len(key) != 1 {
		return sources.Unsure, nil
	}
	answer, err := s.ask(ctx, httpx.P(pathUser, key[0]))
	if answer != sources.Deleted {
		return answer, err
	}
	return s.ask(ctx, httpx.P(pathService, key[0]))
}
