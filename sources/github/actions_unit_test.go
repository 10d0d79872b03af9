package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
)

func onOne(a sources.Action, kind sources.TargetKind, target string, params ...string) sources.ActionRequest {
	r := sources.ActionRequest{ID: "r1", Action: a, Kind: kind, Target: target}
	for i := 0; i+1 < len(params); i += 2 {
		r.Params = map[string]string{params[i]: params[i+1]}
	}
	return r
}

func onPerson(a sources.Action, id string, params ...string) sources.ActionRequest {
	return onOne(a, sources.TargetAccount, id, params...)
}

// What a rule of protection may name an account by.
func TestPersonIsKnown(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	subject := func(id string) sources.Subject {
		t.Helper()
		p, err := s.Plan(t.Context(), onPerson(sources.RemoveMember, id))
		require.NoError(t, err)
		return p.Target
	}
	require.Equal(t, sources.Subject{
		Kind: sources.TargetAccount, ID: "2", Name: "hubot", Aliases: []string{"hubot", "U_2"}, Logins: []string{"hubot"},
		Emails: []string{"hubot@acme.example", "hubot@sso.example"}, Groups: []string{"50", "T_50", "The crew", "crew"},
		Roles: []string{"auditor", "member", "orgrole:80"}, Privileged: true,
	}, subject("2"))
	eve := subject("3")
	require.False(t, eve.Privileged)
	require.Equal(t, []string{"eve@acme.example", "eve@sso.example"}, eve.Emails)
	self := subject("1")
	require.True(t, self.Self, "the token's own user")
	require.True(t, self.Privileged)
	require.False(t, self.LastAdmin)
	require.Contains(t, self.Roles, "owner")
	require.False(t, subject("4").Self)
	f.change(func() { delete(f.roles, own) })
	require.True(t, subject("4").LastAdmin, "no other owner is left")
	f.change(func() { f.assigned["hubot"] = "" })
	require.Equal(t, []string{"pending@acme.example"}, subject("invitation:70").Emails)
	p, err := s.Plan(t.Context(), onOne(sources.RemoveSharing, sources.TargetRepository, "500", paramPermission, "invitation:90"))
	require.NoError(t, err)
	require.Equal(t, "stranger", p.Also[0].Name)
}

// Who cannot be told to be unprotected is not acted on.
func TestPersonIsNotKnown(t *testing.T) {
	t.Parallel()
	for request, answer := range map[string]string{
		"POST /api/graphql": `{"data":{"user":{"databaseId":2,"organizationVerifiedDomainEmails":null},"organization":{"teams":{"nodes":[]}}},"errors":[{"type":"FORBIDDEN","path":["user","organizationVerifiedDomainEmails"],"message":"Resource not accessible"}]}`,
		"GET /orgs/octo-corp/organization-roles/80/users": "403",
		"GET /orgs/octo-corp/members":                     "403",
	} {
		f := newForge(t)
		if answer == "403" {
			f.fail(request, 403, "Resource not accessible")
		} else {
			f.json(request, answer)
		}
		_, err := f.open(t).Plan(t.Context(), onPerson(sources.RemoveMember, "4"))
		if request == "POST /api/graphql" {
			_, err = f.open(t).Plan(t.Context(), onPerson(sources.RemoveMember, "2"))
		}
		require.Equal(t, fault.Forbidden, fault.Of(err), "%s: %v", request, err)
	}
}

// Signing out is pending until no credential of the plan is left; what is
// authorized later does not look like a failure.
func TestSignOut(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.later = true
	s := f.open(t)
	inCloud(s)
	p, err := s.Plan(t.Context(), onPerson(sources.SignOutUser, "2"))
	require.NoError(t, err)
	require.Len(t, p.Diff, 2)
	st := p.Steps[0]
	receipt, err := s.Do(t.Context(), st)
	require.NoError(t, err)
	require.True(t, receipt.Pending)
	outcome := func(r sources.Receipt) sources.Outcome {
		t.Helper()
		o, err := s.Check(t.Context(), st, r)
		require.NoError(t, err)
		return o
	}
	require.Equal(t, sources.Pending, outcome(receipt))
	require.Equal(t, sources.NotDone, outcome(sources.Receipt{}), "its answer was lost")
	f.change(func() { delete(f.creds, "31") })
	require.Equal(t, sources.Pending, outcome(receipt))
	f.change(func() {
		delete(f.creds, "32")
		f.creds["39"] = "hubot"
	})
	require.Equal(t, sources.Done, outcome(receipt))
	require.Equal(t, sources.Done, outcome(sources.Receipt{}))

	p, err = s.Plan(t.Context(), onPerson(sources.SignOutUser, "1"))
	require.NoError(t, err)
	require.True(t, p.Target.Self, "the engine does nothing to the token's own user")
	require.Empty(t, p.Steps, "nothing is authorized")
	f.change(func() {
		for i := range maxCredentials + 1 {
			f.creds["5"+itoa(i)] = "olga"
		}
	})
	_, err = s.Plan(t.Context(), onPerson(sources.SignOutUser, "4"))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

// What GitHub cannot do, or what is not what it is taken for, is refused in
// words.
func TestCannot(t *testing.T) {
	t.Parallel()
	file := func(a sources.Action, id string) sources.ActionRequest { return onOne(a, sources.TargetFile, id) }
	app := onOne(sources.DisableApp, sources.TargetApp, "911")
	residency := func(s *session) { s.urls.server, s.urls.residency = false, true }
	twice := func(f *forge) { f.scim["s-2-more"] = true }
	for name, c := range map[string]struct {
		request sources.ActionRequest
		change  func(*forge)
		config  func(*Config)
		as      func(*session)
		class   fault.Class
		says    string
	}{
		"a member is not blocked":          {onPerson(sources.SuspendUser, "2"), nil, nil, inCloud, fault.Permanent, "remove_member"},
		"nor is who is invited":            {onPerson(sources.SuspendUser, "7"), nil, nil, inCloud, fault.Permanent, "remove_member"},
		"nor anybody":                      {onPerson(sources.SuspendUser, "5"), nil, nil, inCloud, fault.BadData, "no member"},
		"nor a managed user":               {onPerson(sources.SuspendUser, "3"), nil, nil, residency, fault.Permanent, "actions.scim"},
		"SCIM does not unsuspend":          {onPerson(sources.UnsuspendUser, "2"), nil, withSCIM, inCloud, fault.Permanent, "Undo"},
		"two SCIM identities":              {onPerson(sources.SuspendUser, "2"), twice, withSCIM, inCloud, fault.Permanent, "exactly one"},
		"no SCIM identity":                 {onPerson(sources.SuspendUser, "4"), nil, withSCIM, inCloud, fault.Permanent, "0 SCIM identities"},
		"a server signs nobody out":        {onPerson(sources.SignOutUser, "2"), nil, nil, nil, fault.Permanent, "Enterprise Server"},
		"a stranger is not signed out":     {onPerson(sources.SignOutUser, "5"), nil, nil, inCloud, fault.BadData, "no member"},
		"a stranger is not removed":        {onPerson(sources.RemoveMember, "5"), nil, nil, nil, fault.BadData, "no member"},
		"a child team's member":            {onPerson(sources.RemoveMember, "4", paramGroup, "50"), nil, nil, nil, fault.Permanent, "child team"},
		"no such team":                     {onPerson(sources.RemoveMember, "2", paramGroup, "51"), nil, nil, nil, fault.BadData, "no team 51"},
		"an invitation to a team":          {onPerson(sources.RemoveMember, "invitation:70", paramGroup, "50"), nil, nil, nil, fault.BadData, "in no team"},
		"a role through a team":            {onPerson(sources.RemovePrivilege, "4", paramRole, "orgrole:80"), nil, nil, nil, fault.Permanent, "through a team"},
		"a role of a guest":                {onPerson(sources.RemovePrivilege, "3", paramRole, "orgrole:80"), nil, nil, nil, fault.BadData, "no member"},
		"ownership is no role":             {onPerson(sources.RemovePrivilege, "4", paramRole, "org:admin"), nil, nil, nil, fault.BadData, "orgrole:"},
		"a directory":                      {file(sources.TrashFile, "500:docs"), nil, nil, nil, fault.BadData, "directory"},
		"a symlink":                        {file(sources.OverwriteFile, "500:link"), nil, nil, nil, fault.BadData, "symlink"},
		"above the root":                   {file(sources.TrashFile, "500:a/../../b"), nil, nil, nil, fault.BadData, "no path"},
		"an empty segment":                 {file(sources.TrashFile, "500:a//b"), nil, nil, nil, fault.BadData, "no path"},
		"the repository itself":            {file(sources.TrashFile, "500:"), nil, nil, nil, fault.BadData, "target_id"},
		"no such file":                     {file(sources.TrashFile, "500:none"), nil, nil, nil, fault.BadData, "no file"},
		"another's repository":             {file(sources.TrashFile, "501:README.md"), nil, nil, nil, fault.BadData, "no repository"},
		"fine-grained, without an App":     {onOne(sources.RevokeGrant, sources.TargetCredential, "pat:441"), nil, nil, nil, fault.Forbidden, "private_key"},
		"no such credential":               {onOne(sources.RevokeGrant, sources.TargetCredential, "token:9"), nil, nil, nil, fault.BadData, "there is no"},
		"a token of GitHub.com":            {onOne(sources.RevokeKey, sources.TargetCredential, "token:61"), nil, nil, inCloud, fault.BadData, "revoke_grant"},
		"a token of a stranger":            {onOne(sources.RevokeKey, sources.TargetCredential, "token:61"), func(f *forge) { f.tokens["61"] = "stranger" }, nil, nil, fault.BadData, "no member"},
		"a deploy key of no repository":    {onOne(sources.RevokeKey, sources.TargetCredential, "link:100"), nil, nil, nil, fault.BadData, "params.repository"},
		"a token of a repository":          {onOne(sources.RevokeKey, sources.TargetCredential, "token:61", paramRepository, "500"), nil, nil, nil, fault.BadData, "params.repository"},
		"an app, without an enterprise":    {app, nil, nil, nil, fault.Permanent, "actions.enterprise"},
		"an app that is not installed":     {onOne(sources.DisableApp, sources.TargetApp, "99"), nil, nil, uninstalls, fault.BadData, "no app 99"},
		"an action that GitHub has not":    {onPerson(sources.ResetPassword, "2"), nil, nil, nil, fault.BadData, "no action"},
		"a target that the action has not": {onOne(sources.RemoveMember, sources.TargetApp, "2"), nil, nil, nil, fault.BadData, "target_kind"},
	} {
		like := cycleCase{change: c.change, config: c.config, as: c.as}
		f, s := like.start(t)
		p, err := s.Plan(t.Context(), c.request)
		require.Error(t, err, name)
		require.Nil(t, p, name)
		require.Equal(t, c.class, fault.Of(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
		require.Empty(t, wrote(f.requests()), name)
	}
}

// What is not there is no work: a plan without steps.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	for _, r := range []sources.ActionRequest{
		onPerson(sources.RemoveMember, "3", paramGroup, "50"),
		onPerson(sources.RemovePrivilege, "1", paramRole, "orgrole:80"),
		onPerson(sources.RemovePrivilege, "1", paramRole, "orgrole:99"),
		onOne(sources.RemoveSharing, sources.TargetRepository, "500", paramPermission, "account:4"),
		onOne(sources.RemoveSharing, sources.TargetRepository, "500", paramPermission, "invitation:91"),
	} {
		p, err := s.Plan(t.Context(), r)
		require.NoError(t, err, "%+v", r)
		require.Empty(t, p.Steps)
		require.NoError(t, p.Validate(r))
	}
}

// A file is put back from the history, unless it is too large for that, or the
// history is not what it was.
func TestFileIsPutBack(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	large := onOne(sources.TrashFile, sources.TargetFile, "500:large")
	p, err := s.Plan(t.Context(), large)
	require.NoError(t, err)
	require.Contains(t, p.NoUndo, "bytes")
	_, err = s.Undo(t.Context(), sources.Effect{Request: large, Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}})
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)

	r := onOne(sources.TrashFile, sources.TargetFile, "500:README.md")
	p, err = s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.NotContains(t, string(p.Before)+string(p.Steps[0].Args), "hello", "no content is kept")
	f.change(func() {
		f.files["README.md"] = "changed since\n"
		f.blobs[blobSHA([]byte("changed since\n"))] = "changed since\n"
	})
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	require.Equal(t, "changed since\n", f.files["README.md"])

	p, err = s.Plan(t.Context(), r)
	require.NoError(t, err)
	receipt, err := s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.Equal(t, "commit c0ffee", receipt.Note)
	back, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0], Receipt: receipt}}})
	require.NoError(t, err)
	f.change(func() {
		for sha := range f.blobs {
			f.blobs[sha] = "other\n"
		}
	})
	_, err = s.Do(t.Context(), back.Steps[0])
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	require.NotContains(t, f.files, "README.md")
}

// Git's own id of a content: that of the empty blob, and of `echo hello`.
func TestBlobSHA(t *testing.T) {
	t.Parallel()
	require.Equal(t, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", blobSHA(nil))
	require.Equal(t, "ce013625030ba8dba906f756967f9e9ca394464a", blobSHA([]byte("hello\n")))
}

// The App that Weir itself is, is its own.
func TestOwnApp(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	uninstalls(s)
	p, err := s.Plan(t.Context(), onOne(sources.DisableApp, sources.TargetApp, "912"))
	require.NoError(t, err)
	require.True(t, p.Target.Self)
	p, err = s.Plan(t.Context(), onOne(sources.DisableApp, sources.TargetApp, "911"))
	require.NoError(t, err)
	require.False(t, p.Target.Self)
	s.enterprise = nil
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
}

// An App uninstalls others with the token of its installation on the enterprise,
// and with none else.
func TestEnterpriseInstallation(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	pemKey := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	f := newForge(t)
	mint := func(installation, permissions string) {
		f.handle("POST /app/installations/"+installation+"/access_tokens", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":"sandbox-token","expires_at":%q,"permissions":%s}`, begin.Add(time.Hour).Format(time.RFC3339), permissions)
		})
	}
	mint("6", `{"organization_administration":"read"}`)
	mint("7", `{"enterprise_organization_installations":"write"}`)
	s := f.open(t, func(c *Config) {
		c.BaseURL = f.URL
		c.Auth = Auth{ClientID: "Iv1.weir", InstallationID: "6", PrivateKey: secret.New(pemKey)}
		c.Actions = Writes{Enterprise: "acme-inc", Installation: "7"}
	})
	probe := func() error { return s.Probe(t.Context(), sources.CapabilityActions+string(sources.DisableApp)) }
	require.NoError(t, probe())
	require.Equal(t, []string{"POST /app/installations/7/access_tokens", "GET /app"}, f.requests()) // what it is called is asked for, once
	p, err := s.Plan(t.Context(), onOne(sources.DisableApp, sources.TargetApp, "911"))
	require.NoError(t, err)
	_, err = s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.NotContains(t, f.apps, "11")
	err = s.Probe(t.Context(), sources.CapabilityActions+string(sources.RemoveMember))
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "members:write")
}

// A server has SCIM below the enterprise, or not.
func TestServerSCIM(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"GET /scim/v2/Users", "GET /scim/v2/enterprises/acme-inc/Users"} {
		f := newForge(t)
		f.fail(at+"?count=100&startIndex=1", 404, "Not Found")
		p, err := f.open(t, withSCIM).Plan(t.Context(), onPerson(sources.SuspendUser, "2"))
		require.NoError(t, err)
		require.Equal(t, strings.Contains(at, "enterprises"), !strings.Contains(string(p.Steps[0].Args), "acme-inc"))
		require.Contains(t, p.Target.Emails, "hubot@acme.example")
	}
	require.Equal(t, "mona-the-octocat", loginOf("mona..the_octocat-@acme.example"))
	require.Equal(t, "mona", stem("mona_acme", false))
	require.Equal(t, "mona_acme", stem("mona_acme", true))
}

// A managed user who was suspended is out of sight: undoing goes by the SCIM
// identity of the step.
func TestUndoOfHidden(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t, withSCIM)
	r := onPerson(sources.SuspendUser, "2")
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	_, err = s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	f.change(func() { delete(f.logins, "2") })
	back, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}})
	require.NoError(t, err)
	require.NoError(t, back.Validate(r))
	require.True(t, back.Target.Privileged, "it takes an approval")
	require.Equal(t, []string{"hubot"}, back.Target.Logins)
	_, err = s.Do(t.Context(), back.Steps[0])
	require.NoError(t, err)
	require.True(t, f.scim["s-2"])
}

// A server that does not tell who is suspended is asked to suspend all the same:
// the effect cannot be read back.
func TestServerDoesNotTell(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	r := onPerson(sources.SuspendUser, "2")
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "not told", p.Diff[0].Before)
	require.Len(t, p.Limits, 1)
	_, err = s.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.True(t, f.suspended["hubot"])
	o, err := s.Check(t.Context(), p.Steps[0], sources.Receipt{})
	require.NoError(t, err)
	require.Equal(t, sources.Unknown, o)
	back, err := s.Undo(t.Context(), sources.Effect{Request: r, Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0]}}})
	require.NoError(t, err)
	_, err = s.Do(t.Context(), back.Steps[0])
	require.NoError(t, err)
	require.False(t, f.suspended["hubot"])
}

func TestActionsConfig(t *testing.T) {
	t.Parallel()
	app := Auth{ClientID: "Iv1.x", PrivateKey: secret.New("k")}
	token := Auth{Token: secret.New("t")}
	for name, c := range map[string]struct {
		change func(*Config)
		key    string
	}{
		"nothing":             {func(c *Config) { c.Auth = token }, ""},
		"an enterprise's App": {func(c *Config) { c.Auth, c.Actions = app, Writes{Enterprise: "acme-inc", Installation: "7"} }, ""},
		"half of it":          {func(c *Config) { c.Auth, c.Actions = app, Writes{Enterprise: "acme-inc"} }, "actions"},
		"the other half":      {func(c *Config) { c.Auth, c.Actions = app, Writes{Installation: "7"} }, "actions"},
		"without an App":      {func(c *Config) { c.Auth, c.Actions = token, Writes{Enterprise: "acme-inc", Installation: "7"} }, "actions"},
		"on a server": {func(c *Config) {
			c.Auth, c.BaseURL, c.Actions = app, "https://g.example/api/v3", Writes{Enterprise: "acme-inc", Installation: "7"}
		}, "actions"},
		"a slug that is a path":          {func(c *Config) { c.Auth, c.Actions = app, Writes{Enterprise: "a/b", Installation: "7"} }, "actions.enterprise"},
		"an installation that is a path": {func(c *Config) { c.Auth, c.Actions = app, Writes{Enterprise: "a", Installation: "7/8"} }, "actions.enterprise_installation_id"},
		"SCIM":                           {func(c *Config) { c.Auth, c.Enterprise, c.Actions.SCIM = token, "acme-inc", true }, ""},
		"SCIM of a server":               {func(c *Config) { c.Auth, c.BaseURL, c.Actions.SCIM = token, "https://g.example/api/v3", true }, ""},
		"SCIM without an enterprise":     {func(c *Config) { c.Auth, c.Actions.SCIM = token, true }, "actions.scim"},
		"SCIM of an App":                 {func(c *Config) { c.Auth, c.BaseURL, c.Actions.SCIM = app, "https://g.example/api/v3", true }, "actions.scim"},
	} {
		cfg := newConfig()
		cfg.Org = "octo-corp"
		c.change(cfg)
		errs := cfg.Validate()
		if c.key == "" {
			require.Empty(t, errs, name)
			continue
		}
		require.Len(t, errs, 1, name)
		require.Equal(t, c.key, errs[0].Key, name)
	}
	require.Empty(t, newConfig().furtherScopes())
	require.Equal(t, []string{"repo", "admin:org"}, (&Config{Actions: Writes{Manage: true}}).furtherScopes())
	require.True(t, (&Config{BaseURL: "https://api.acme.ghe.com"}).urls().residency)
	require.False(t, (&Config{BaseURL: defaultAPI}).urls().residency)
}

// What a token has not been granted is found before anything is tried.
func TestProbeActions(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open(t)
	inCloud(s)
	probe := func(a sources.Action) error { return s.Probe(t.Context(), sources.CapabilityActions+string(a)) }
	for _, i := range actions {
		err := probe(i.Action)
		if i.Action == sources.DisableApp {
			require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
			continue
		}
		require.NoError(t, err, i.Action)
	}
	require.Equal(t, fault.Permanent, fault.Of(probe("none")))
	f.owner("read:org, repo")
	for _, a := range []sources.Action{sources.RemoveMember, sources.SuspendUser, sources.SignOutUser, sources.RemovePrivilege, sources.RevokeGrant} {
		require.Equal(t, fault.Forbidden, fault.Of(probe(a)), a)
	}
	require.ErrorContains(t, probe(sources.RemoveMember), "admin:org")
	require.NoError(t, probe(sources.RemoveSharing))
	s.urls.server = true
	require.ErrorContains(t, probe(sources.SuspendUser), "site_admin")
	require.Equal(t, fault.NotLicensed, fault.Of(probe(sources.SignOutUser)))
	f.handle("GET /user", f.scopes("site_admin, scim:enterprise"))
	require.NoError(t, probe(sources.SuspendUser))
	s.cfg.Actions.SCIM = true
	require.NoError(t, probe(sources.SuspendUser))
	require.Equal(t, fault.NotLicensed, fault.Of(probe(sources.UnsuspendUser)))
	require.Empty(t, wrote(f.requests()))
}
