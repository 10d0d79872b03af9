package microsoft365

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/sources"
	"weir/sources/httpx"
)

var _ sources.Tracer = (*session)(nil)

// Trace implements sources.Tracer. Entra's log names the app by its service
// principal, as who did it; the records of SharePoint, Exchange and the others
// name its application id, as the client.
func (s *session) Trace(ctx context.Context) (sources.Trace, error) {
	own, err := s.ownPrincipal(ctx)
	if err != nil {
		return sources.Trace{}, err
	}
	// Of what is copied, and of the copy that goes, the log names the copy.
	quarantine := []string{"FileCopied", "FileUploaded", "FileModified", "FileAccessed", "FileRecycled", "FileDeleted", "FileVersionsAllRecycled"}
	return sources.Trace{
		Actors: []string{own.id}, Clients: nonEmpty(lower(s.cfg.Auth.ClientID), s.cfg.Auth.ClientID),
		Beside: map[sources.Action][]string{sources.QuarantineFile: quarantine, sources.OverwriteFile: quarantine},
	}, nil
}

// FindAccounts implements sources.Finder. Principal names and addresses in
// proxyAddresses are set by administrators and Exchange alone; so is mail, but
// for guests, whose address is proved when they accept the invitation. Other
// mails are what somebody typed.
func (s *session) FindAccounts(ctx context.Context, email string) ([]sources.Found, error) {
	e := odata(email)
	filter := "mail eq " + e + " or userPrincipalName eq " + e + " or proxyAddresses/any(p:p eq " + odata("smtp:"+email) + ") or otherMails/any(o:o eq " + e + ")"
	all, err := govList[govPrincipal](ctx, s.graph, &httpx.Request{Path: httpx.P(pathUsers), Query: url.Values{"$filter": {filter}, "$select": {userColumns}, "$top": {"999"}}})
	if err != nil {
		return nil, naming(err, "User.Read.All")
	}
	var out []sources.Found
	for i := range all {
		u := &all[i]
		own := slices.Contains(addresses(u), email)
		if u.ID == "" || !own && !slices.ContainsFunc(u.OtherMails, func(m string) bool { return strings.EqualFold(m, email) }) {
			continue
		}
		guest := u.UserType == "Guest" || u.ExternalState != ""
		out = append(out, sources.Found{ID: u.ID, Verified: own && (!guest || u.ExternalState == "Accepted")})
	}
	slices.SortFunc(out, func(a, b sources.Found) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}
