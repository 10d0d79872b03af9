package aws

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/sources"
)

const (
	ownAccount = "111122223333"
	anaya      = "AIDAEXAMPLEANAYA00001"
	weirUser   = "AIDAEXAMPLEWEIRY00001"
	anayaKey   = "AKIAEXAMPLEANAYA0001"
	idleKey    = "AKIAEXAMPLEANAYA0002"
	bossKey    = "AKIAEXAMPLEBOSSY0001"
	weirKey    = "AKIAEXAMPLEWEIRY0001"
	rootKey    = "AKIAEXAMPLEROOTY0001"
	readOnly   = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:Get*","iam:ListUsers"],"Resource":"*"}}`
	denyAll    = `{"Version":"2012-10-17","Statement":[{"Sid":"WeirDenyAll","Effect":"Deny","Action":"*","Resource":"*"}]}`
)

// fakeIAM answers IAM's and STS's query API for one account, as the API
// references say, and keeps what it is asked to write.
type fakeIAM struct {
	*httptest.Server

	mu       sync.Mutex
	users    []fakeUser
	keys     map[string][2]string // owner and status by id
	policies map[string]string    // inline ones, by user/name
	profiles map[string]bool      // by user: whether a password must be reset
	writes   []string             // bodies of requests that write
	asked    []string             // actions
	scopes   map[string]bool      // that requests were signed for
	refuse   map[string][2]string // error code and status by action
	caller   [3]string            // account, ARN, user id
	assumed  [3]string            // the same, of an assumed role
	lose     bool                 // the answers to writes
}

type fakeUser struct{ id, name, group, tag, attached string }

func newFakeIAM(t testing.TB) *fakeIAM {
	f := &fakeIAM{
		users: []fakeUser{
			{id: anaya, name: "anaya", group: "Readers", tag: "Anaya@acme.example"},
			{id: "AIDAEXAMPLEBOSSY00001", name: "boss", group: "Admins"},
			{id: weirUser, name: "weir", attached: "arn:aws:iam::aws:policy/ReadOnlyAccess"},
		},
		keys:     map[string][2]string{anayaKey: {"anaya", "Active"}, idleKey: {"anaya", "Inactive"}, bossKey: {"boss", "Active"}, weirKey: {"weir", "Active"}, rootKey: {"", "Active"}},
		policies: map[string]string{}, profiles: map[string]bool{"anaya": false}, scopes: map[string]bool{}, refuse: map[string][2]string{},
		caller: [3]string{ownAccount, "arn:aws:iam::" + ownAccount + ":user/weir", weirUser},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// percent encodes a policy as IAM returns it.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func (f *fakeIAM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	action, user := form.Get("Action"), form.Get("UserName")
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		f.fail(w, 400, "InvalidAction")
		return
	}
	if _, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		parts := strings.Split(strings.TrimSuffix(strings.Fields(scope)[0], ","), "/")
		f.scopes[strings.Join(parts[2:], "/")] = true
	}
	f.asked = append(f.asked, action)
	if no, ok := f.refuse[action]; ok {
		status := 400
		_, _ = fmt.Sscan(no[1], &status)
		f.fail(w, status, no[0])
		return
	}
	w.Header().Set("X-Amzn-Requestid", "req-1")
	result, code := "", ""
	write := !strings.HasPrefix(action, "Get") && !strings.HasPrefix(action, "List")
	if write && form.Get("Version") == "2010-05-08" {
		f.writes = append(f.writes, string(body))
	}
	switch action {
	case "GetCallerIdentity":
		who := f.caller
		if f.assumed[0] != "" && r.Header.Get("X-Amz-Security-Token") != "" {
			who = f.assumed
		}
		result = fmt.Sprintf("<Account>%s</Account><Arn>%s</Arn><UserId>%s</UserId>", who[0], who[1], who[2])
	case "AssumeRole":
		f.writes = append(f.writes, string(body))
		result = "<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>example</SecretAccessKey><SessionToken>example</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
	case "GetAccountAuthorizationDetails":
		result = f.details(form.Get("Marker"))
	case "GetAccessKeyLastUsed":
		k, ok := f.keys[form.Get("AccessKeyId")]
		if !ok {
			code = "AccessDenied"
		}
		result = "<UserName>" + k[0] + "</UserName><AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>"
	case "ListAccessKeys":
		result = "<IsTruncated>false</IsTruncated><AccessKeyMetadata>"
		for id, k := range f.keys {
			if k[0] == user {
				result += fmt.Sprintf("<member><UserName>%s</UserName><AccessKeyId>%s</AccessKeyId><Status>%s</Status></member>", user, id, k[1])
			}
		}
		result += "</AccessKeyMetadata>"
	case "UpdateAccessKey", "DeleteAccessKey":
		id := form.Get("AccessKeyId")
		if k, ok := f.keys[id]; !ok || k[0] != user {
			code = "NoSuchEntity"
		} else if delete(f.keys, id); action == "UpdateAccessKey" {
			f.keys[id] = [2]string{user, form.Get("Status")}
		}
	case "GetUserPolicy":
		document, ok := f.policies[user+"/"+form.Get("PolicyName")]
		if !ok {
			code = "NoSuchEntity"
		}
		result = fmt.Sprintf("<UserName>%s</UserName><PolicyName>%s</PolicyName><PolicyDocument>%s</PolicyDocument>", user, form.Get("PolicyName"), escape(percent(document)))
	case "PutUserPolicy":
		f.policies[user+"/"+form.Get("PolicyName")] = form.Get("PolicyDocument")
	case "DeleteUserPolicy":
		if _, ok := f.policies[user+"/"+form.Get("PolicyName")]; !ok {
			code = "NoSuchEntity"
		}
		delete(f.policies, user+"/"+form.Get("PolicyName"))
	case "GetLoginProfile":
		reset, ok := f.profiles[user]
		if !ok {
			code = "NoSuchEntity"
		}
		result = fmt.Sprintf("<LoginProfile><UserName>%s</UserName><CreateDate>2024-05-01T10:00:00Z</CreateDate><PasswordResetRequired>%t</PasswordResetRequired></LoginProfile>", user, reset)
	case "UpdateLoginProfile", "DeleteLoginProfile":
		if _, ok := f.profiles[user]; !ok {
			code = "NoSuchEntity"
		} else if delete(f.profiles, user); action == "UpdateLoginProfile" {
			f.profiles[user] = form.Get("PasswordResetRequired") == "true"
		}
	default:
		code = "InvalidAction"
	}
	switch {
	case code == "NoSuchEntity":
		f.fail(w, 404, code)
	case code != "":
		f.fail(w, 403, code)
	case write && f.lose && action != "AssumeRole":
		panic(http.ErrAbortHandler)
	default:
		_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><%[1]sResult>%[2]s</%[1]sResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></%[1]sResponse>`, action, result)
	}
}

func (f *fakeIAM) fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>%s</Code><Message>said so</Message></Error><RequestId>req-2</RequestId></ErrorResponse>`, code)
}

// details is one page of two: users, then groups and policies.
func (f *fakeIAM) details(marker string) string {
	if marker == "" {
		s := "<IsTruncated>true</IsTruncated><Marker>next</Marker><UserDetailList>"
		for _, u := range f.users {
			s += fmt.Sprintf("<member><UserId>%s</UserId><UserName>%s</UserName><Path>/</Path><Arn>arn:aws:iam::%s:user/%s</Arn><GroupList>", u.id, u.name, f.caller[0], u.name)
			if u.group != "" {
				s += "<member>" + u.group + "</member>"
			}
			s += "</GroupList><AttachedManagedPolicies>"
			if u.attached != "" {
				s += "<member><PolicyName>" + u.attached[strings.LastIndexByte(u.attached, '/')+1:] + "</PolicyName><PolicyArn>" + u.attached + "</PolicyArn></member>"
			}
			s += "</AttachedManagedPolicies><Tags>"
			if u.tag != "" {
				s += "<member><Key>Email</Key><Value>" + u.tag + "</Value></member>"
			}
			s += "</Tags></member>"
		}
		return s + "</UserDetailList>"
	}
	return `<IsTruncated>false</IsTruncated><GroupDetailList>` +
		`<member><GroupId>AGPAREADERS</GroupId><GroupName>Readers</GroupName><GroupPolicyList><member><PolicyName>read</PolicyName><PolicyDocument>` + percent(readOnly) + `</PolicyDocument></member></GroupPolicyList></member>` +
		`<member><GroupId>AGPAADMINS</GroupId><GroupName>Admins</GroupName><AttachedManagedPolicies><member><PolicyName>AdministratorAccess</PolicyName><PolicyArn>arn:aws:iam::aws:policy/AdministratorAccess</PolicyArn></member></AttachedManagedPolicies></member>` +
		`</GroupDetailList><Policies><member><PolicyName>AdministratorAccess</PolicyName><Arn>arn:aws:iam::aws:policy/AdministratorAccess</Arn><PolicyVersionList><member><Document>` +
		percent(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`) + `</Document><IsDefaultVersion>true</IsDefaultVersion></member></PolicyVersionList></member></Policies>`
}

// written returns and forgets the writes.
func (f *fakeIAM) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.writes = nil }()
	return slices.Clone(f.writes)
}

// set changes the fake under its lock.
func (f *fakeIAM) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

var actionsNow = time.Date(2026, 10, 2, 8, 30, 15, 0, time.UTC)

// governed opens a session whose IAM and STS are the fake.
func governed(t testing.TB, f *fakeIAM, change func(*Config)) *session {
	t.Helper()
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL = "file://" + t.TempDir()
	cfg.Endpoints.IAM, cfg.Endpoints.STS, cfg.Actions.Region = f.URL, f.URL, "eu-central-1"
	cfg.Auth.AccessKeyID, cfg.Auth.SecretAccessKey = secretOf(weirKey), secretOf("example")
	if change != nil {
		change(cfg)
	}
	require.Empty(t, cfg.Validate())
	s, err := open(t.Context(), sources.Env{Instance: "acme", Clock: clockwork.NewFakeClockAt(actionsNow)}, cfg)
	require.NoError(t, err)
	return s.(*session)
}

func request(a sources.Action, kind sources.TargetKind, target string, params ...string) sources.ActionRequest {
	r := sources.ActionRequest{ID: "case-7", Action: a, Kind: kind, Target: target, Params: map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		r.Params[params[i]] = params[i+1]
	}
	return r
}

// carryOut plans, does and checks an action. It returns what was done, for
// undoing.
func carryOut(t testing.TB, s *session, r sources.ActionRequest) sources.Effect {
	t.Helper()
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.NoError(t, p.Validate(r))
	again, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, p, again, "plans of one state are one")
	return sources.Effect{Request: r, Before: p.Before, Steps: doAll(t, s, p)}
}

func doAll(t testing.TB, s *session, p *sources.Plan) (done []sources.StepDone) {
	t.Helper()
	require.NotEmpty(t, p.Steps)
	for _, st := range p.Steps {
		out, err := s.Check(t.Context(), st, sources.Receipt{})
		require.NoError(t, err)
		require.Equal(t, sources.NotDone, out, "%s before", st.Name)
		rc, err := s.Do(t.Context(), st)
		require.NoError(t, err, st.Name)
		for _, receipt := range []sources.Receipt{rc, {}} { // its answer may be lost
			out, err = s.Check(t.Context(), st, receipt)
			require.NoError(t, err)
			require.Equal(t, sources.Done, out, "%s after", st.Name)
		}
		done = append(done, sources.StepDone{Step: st, Receipt: rc})
	}
	return done
}

// undo takes an effect back, and shows that it then is.
func undo(t testing.TB, s *session, e sources.Effect) {
	t.Helper()
	p, err := s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.NoError(t, p.Validate(e.Request))
	doAll(t, s, p)
	p, err = s.Undo(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, p.Steps, "it is undone already")
}
