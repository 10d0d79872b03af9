package aws

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/s3test"
	"weir/sources"
)

// fakeS3 is the real server, with what that does not have, or not as AWS:
// blocks of public access, and ACLs.
type fakeS3 struct {
	*s3test.Server

	mu     sync.Mutex
	url    string
	broken bool              // copies fail after their answer has begun
	kept   map[string]string // bodies put, by path and sub-resource
	writes []string          // requests that write
}

// front serves what the server has not, and passes on the rest.
func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write := r.Method != http.MethodGet && r.Method != http.MethodHead
	if write {
		f.writes = append(f.writes, r.Method+" "+r.URL.RequestURI())
	}
	if f.broken && r.Header.Get("x-amz-copy-source") != "" {
		refuse(w, 200, "InternalError", "the copy failed")
		return
	}
	block := r.URL.Query().Has("publicAccessBlock")
	if !block && !r.URL.Query().Has("acl") {
		target, _ := url.Parse(f.Endpoint)
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
		return
	}
	if r.Header.Get("x-amz-expected-bucket-owner") != ownAccount {
		refuse(w, 403, "AccessDenied", "not the owner")
		return
	}
	key := r.URL.Path + "?acl"
	if block {
		key = r.URL.Path + "?publicAccessBlock"
	}
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Method == http.MethodDelete:
		delete(f.kept, key)
		w.WriteHeader(204)
	case r.Method == http.MethodPut && r.Header.Get("x-amz-acl") != "":
		f.kept[key] = objectACL()
	case r.Method == http.MethodPut:
		f.kept[key] = string(body)
	case f.kept[key] == "" && block:
		refuse(w, 404, "NoSuchPublicAccessBlockConfiguration", "")
	case f.kept[key] == "":
		_, _ = io.WriteString(w, objectACL())
	default:
		_, _ = io.WriteString(w, f.kept[key])
	}
}

// objectACL is an ACL, of an object or bucket, of the owner's, with grants to groups.
func objectACL(groups ...string) string {
	s := `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>owner-1</ID></Owner><AccessControlList>` +
		`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>owner-1</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>`
	for _, g := range groups {
		s += `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/` + g + `</URI></Grantee><Permission>READ</Permission></Grant>`
	}
	return s + `</AccessControlList></AccessControlPolicy>`
}

// onS3 opens a session on the real server. Its buckets: files keeps versions,
// plain keeps none, quarantine is one.
func onS3(t testing.TB) (*session, *fakeS3) {
	t.Helper()
	f := &fakeS3{Server: s3test.StartAs(t, ownAccount), kept: map[string]string{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	for _, b := range []string{"files", "plain", "quarantine"} {
		_, err := f.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b, ObjectOwnership: types.ObjectOwnershipBucketOwnerPreferred})
		require.NoError(t, err)
		if b != "plain" {
			_, err = f.Client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
			require.NoError(t, err)
		}
	}
	s := governed(t, newFakeIAM(t), func(c *Config) {
		c.Auth.AccessKeyID, c.Auth.SecretAccessKey = secretOf(f.AccessKey), secretOf(f.SecretKey)
		c.Endpoints.S3, c.Actions.Region, c.Actions.Quarantine = server.URL, f.Region, "quarantine"
	})
	return s, f
}

func (f *fakeS3) put(t testing.TB, bucket, key, content string) {
	t.Helper()
	_, err := f.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader([]byte(content)), Metadata: map[string]string{"note": "kept"}})
	require.NoError(t, err)
}

// content is what an object holds; "" it is not there.
func (f *fakeS3) content(t testing.TB, bucket, key string) string {
	t.Helper()
	out, err := f.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if codeOf(err) == "NoSuchKey" {
		return ""
	}
	require.NoError(t, err)
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return string(b)
}

// written returns and forgets the requests that wrote.
func (f *fakeS3) written() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.writes = nil }()
	return slices.Clone(f.writes)
}

func (f *fakeS3) keep(key, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[key] = body
}

const blocked = `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><BlockPublicAcls>true</BlockPublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><IgnorePublicAcls>true</IgnorePublicAcls><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`

func TestMakePrivate(t *testing.T) {
	s, f := onS3(t)
	r := request(sources.MakePrivate, sources.TargetBucket, "files")
	e := carryOut(t, s, r)
	require.Equal(t, []string{"PUT /files?publicAccessBlock="}, f.written())
	require.Equal(t, blocked, f.kept["/files?publicAccessBlock"])
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	require.Contains(t, p.Target.Aliases, "arn:aws:s3:::files")
	undo(t, s, e)
	require.Equal(t, []string{"DELETE /files?publicAccessBlock="}, f.written())

	part := strings.Replace(blocked, "<BlockPublicPolicy>true", "<BlockPublicPolicy>false", 1)
	f.keep("/files?publicAccessBlock", part)
	e = carryOut(t, s, r)
	undo(t, s, e)
	require.Equal(t, part, f.kept["/files?publicAccessBlock"])
	f.keep("/files?publicAccessBlock", strings.ReplaceAll(part, "true", "false"))
	f.written()
	_, err = s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "somebody has opened it since: %v", err)
	_, err = s.Do(t.Context(), e.Steps[0].Step)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.Empty(t, f.written())
	_, err = s.Plan(t.Context(), request(sources.MakePrivate, sources.TargetBucket, "files", "account", "444455556666"))
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
}

func TestRemoveSharing(t *testing.T) {
	s, f := onS3(t)
	bucket := request(sources.RemoveSharing, sources.TargetBucket, "files")
	p, err := s.Plan(t.Context(), bucket)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	_, err = f.Client().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("files"), Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::files/*"},{"Sid":"no","Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::files/keep/*"}]}`)})
	require.NoError(t, err)
	f.keep("/files?acl", objectACL("AllUsers"))
	e := carryOut(t, s, bucket)
	require.Equal(t, []string{"PUT /files?acl=", "PUT /files?policy="}, f.written())
	out, err := f.Client().GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: aws.String("files")})
	require.NoError(t, err)
	require.NotContains(t, aws.ToString(out.Policy), "GetObject")
	require.Contains(t, aws.ToString(out.Policy), "DeleteObject")
	undo(t, s, e)
	require.Contains(t, f.kept["/files?acl"], "AllUsers")

	f.put(t, "files", "a b/ü.txt", "content")
	f.written()
	file := request(sources.RemoveSharing, sources.TargetFile, "s3://files/a b/ü.txt")
	p, err = s.Plan(t.Context(), file)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	require.Equal(t, "ü.txt", p.Target.Name)
	require.Equal(t, "files", p.Also[0].ID)
	f.keep("/files/a b/ü.txt?acl", objectACL("AllUsers", "AuthenticatedUsers"))
	e = carryOut(t, s, file)
	writes := f.written()
	require.Len(t, writes, 1)
	require.Regexp(t, `^PUT /files/a%20b/%C3%BC.txt\?acl=&versionId=\w+$`, writes[0])
	undo(t, s, e)
	require.Contains(t, f.kept["/files/a b/ü.txt?acl"], "AuthenticatedUsers")
}

func TestQuarantineByMove(t *testing.T) {
	s, f := onS3(t)
	for _, bucket := range []string{"files", "plain"} {
		f.put(t, bucket, "dir/rep+ort &1.txt", "secret")
		r := request(sources.QuarantineFile, sources.TargetFile, "s3://"+bucket+"/dir/rep+ort &1.txt")
		f.keep("/quarantine?publicAccessBlock", "")
		_, err := s.Plan(t.Context(), r)
		require.Equal(t, fault.Permanent, fault.Of(err), "the quarantine is open: %v", err)
		f.keep("/quarantine?publicAccessBlock", blocked)
		require.NoError(t, s.Probe(t.Context(), "actions/quarantine_file"))
		f.written()
		e := carryOut(t, s, r)
		copied := ownAccount + "/" + bucket + "/dir/rep+ort &1.txt"
		require.Equal(t, "secret", f.content(t, "quarantine", copied))
		require.Empty(t, f.content(t, bucket, "dir/rep+ort &1.txt"))
		require.Len(t, f.written(), 2)
		h, err := f.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("quarantine"), Key: &copied})
		require.NoError(t, err)
		require.Equal(t, "kept", h.Metadata["note"])

		undo(t, s, e)
		require.Equal(t, "secret", f.content(t, bucket, "dir/rep+ort &1.txt"))
		require.Equal(t, "secret", f.content(t, "quarantine", copied), "the copy stays")
		require.Len(t, f.written(), 1)

		// Also when the answers were lost.
		e = carryOut(t, s, r)
		for i := range e.Steps {
			e.Steps[i].Receipt = sources.Receipt{}
		}
		undo(t, s, e)
		require.Equal(t, "secret", f.content(t, bucket, "dir/rep+ort &1.txt"))

		// Again, over the copy that is there, then out by restore_file.
		carryOut(t, s, r)
		restore := request(sources.RestoreFile, sources.TargetFile, r.Target)
		back := carryOut(t, s, restore)
		require.Equal(t, "secret", f.content(t, bucket, "dir/rep+ort &1.txt"))
		p, err := s.Plan(t.Context(), restore)
		require.NoError(t, err)
		require.Empty(t, p.Steps)
		_, err = s.Undo(t.Context(), back)
		require.Equal(t, bucket == "plain", err != nil, "%v", err)

		// What somebody has put there since is left alone.
		e = carryOut(t, s, r)
		f.put(t, bucket, "dir/rep+ort &1.txt", "new")
		f.written()
		_, err = s.Undo(t.Context(), e)
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		_, err = s.Do(t.Context(), e.Steps[1].Step)
		require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
		require.Empty(t, f.written())
	}
}

// Nothing is deleted whose copy is not in place.
func TestQuarantineNeedsTheCopy(t *testing.T) {
	s, f := onS3(t)
	f.keep("/quarantine?publicAccessBlock", blocked)
	f.put(t, "plain", "k", "secret")
	f.put(t, "quarantine", ownAccount+"/plain/k", "secret") // of another time
	p, err := s.Plan(t.Context(), request(sources.QuarantineFile, sources.TargetFile, "s3://plain/k"))
	require.NoError(t, err)
	_, err = s.Do(t.Context(), p.Steps[1])
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.Equal(t, "secret", f.content(t, "plain", "k"))
	f.put(t, "plain", "k", "changed")
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "the copy is of what was planned: %v", err)

	f.put(t, "files", "k", "secret")
	p, err = s.Plan(t.Context(), request(sources.QuarantineFile, sources.TargetFile, "s3://files/k"))
	require.NoError(t, err)
	f.mu.Lock()
	f.broken = true
	f.mu.Unlock()
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Transient, fault.Of(err), "a 200 that holds an error: %v", err)
	out, err := s.Check(t.Context(), p.Steps[0], sources.Receipt{})
	require.NoError(t, err)
	require.Equal(t, sources.NotDone, out)
}

func TestQuarantineInPlace(t *testing.T) {
	s, f := onS3(t)
	f.put(t, "files", "k", "secret")
	r := request(sources.QuarantineFile, sources.TargetFile, "s3://files/k", "mode", "in_place")
	_, err := s.Plan(t.Context(), r)
	require.Equal(t, fault.Permanent, fault.Of(err), "no policy denies it: %v", err)
	standing := `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject*","Resource":"arn:aws:s3:::files/*","Condition":{"Null":{"s3:ExistingObjectTag/weir-quarantine":"false"}}}]}`
	require.True(t, deniesMarked(standing))
	for _, no := range []string{"", strings.Replace(standing, "Deny", "Allow", 1), strings.Replace(standing, "GetObject*", "PutObject", 1), strings.Replace(standing, "weir-q", "q", 1)} {
		require.False(t, deniesMarked(no), no)
	}
	_, err = f.Client().PutObjectTagging(t.Context(), &s3.PutObjectTaggingInput{Bucket: aws.String("files"), Key: aws.String("k"), Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("class"), Value: aws.String("x")}}}})
	require.NoError(t, err)
	// The server knows no conditions on tags: what plans read of the policy is
	// set aside, and the rest carried out.
	a := args{Bucket: "files", Object: "k"}
	ac, err := s.account(t.Context(), "")
	require.NoError(t, err)
	_, n, err := ac.objectNow(t.Context(), &a)
	require.NoError(t, err)
	a.of(n)
	a.Op, a.Account = opTags, ownAccount
	a.Was, err = readTags(t.Context(), ac, &a)
	require.NoError(t, err)
	require.JSONEq(t, `{"class":"x"}`, a.Was)
	a.Text = `{"class":"x","weir-quarantine":"case-7"}`
	done := doAll(t, s, &sources.Plan{Steps: []sources.Step{{Name: "mark", Doc: "mark", Args: encode(a)}}})
	restore := carryOut(t, s, request(sources.RestoreFile, sources.TargetFile, "s3://files/k"))
	undo(t, s, restore)
	e := sources.Effect{Request: r, Steps: done}
	undo(t, s, e)
	now, err := readTags(t.Context(), ac, &a)
	require.NoError(t, err)
	require.JSONEq(t, `{"class":"x"}`, now)
}

func TestTrashAndRestore(t *testing.T) {
	s, f := onS3(t)
	f.put(t, "files", "k", "one")
	f.put(t, "files", "k2", "other")
	trash := request(sources.TrashFile, sources.TargetFile, "s3://files/k")
	e := carryOut(t, s, trash)
	require.Empty(t, f.content(t, "files", "k"))
	p, err := s.Plan(t.Context(), trash)
	require.NoError(t, err)
	require.Empty(t, p.Steps, "no marker on a marker")
	undo(t, s, e)
	require.Equal(t, "one", f.content(t, "files", "k"))

	carryOut(t, s, trash)
	restore := request(sources.RestoreFile, sources.TargetFile, "s3://files/k")
	e = carryOut(t, s, restore)
	require.Equal(t, "one", f.content(t, "files", "k"))
	undo(t, s, e)
	require.Empty(t, f.content(t, "files", "k"))
	carryOut(t, s, restore)

	// An older version, and back.
	versions, err := f.Client().ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String("files"), Prefix: aws.String("k")})
	require.NoError(t, err)
	one := aws.ToString(versions.Versions[0].VersionId)
	f.put(t, "files", "k", "two")
	older := request(sources.RestoreFile, sources.TargetFile, "s3://files/k", "version", one)
	e = carryOut(t, s, older)
	require.Equal(t, "one", f.content(t, "files", "k"))
	undo(t, s, e)
	require.Equal(t, "two", f.content(t, "files", "k"))
	_, err = s.Plan(t.Context(), request(sources.RestoreFile, sources.TargetFile, "s3://files/k", "version", "01G65Z755AFWAKHE12NY0CQ9FH"))
	require.Error(t, err)

	// Without versions it is gone for good, and so refused, unless that is asked for.
	f.put(t, "plain", "k", "x")
	_, err = s.Plan(t.Context(), request(sources.TrashFile, sources.TargetFile, "s3://plain/k"))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	forced := request(sources.TrashFile, sources.TargetFile, "s3://plain/k", "force", "yes")
	p, err = s.Plan(t.Context(), forced)
	require.NoError(t, err)
	require.NotEmpty(t, p.NoUndo)
	require.True(t, p.Target.Privileged)
	f.put(t, "plain", "k", "y")
	_, err = s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Permanent, fault.Of(err), "it was written anew: %v", err)
	e = carryOut(t, s, forced)
	require.Empty(t, f.content(t, "plain", "k"))
	_, err = s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	_, err = s.Plan(t.Context(), forced)
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
}

func TestOverwrite(t *testing.T) {
	s, f := onS3(t)
	f.put(t, "files", "k", "secret")
	r := request(sources.OverwriteFile, sources.TargetFile, "s3://files/k")
	e := carryOut(t, s, r)
	require.Equal(t, fmt.Sprintf(textReplaced, "case-7"), f.content(t, "files", "k"))
	p, err := s.Plan(t.Context(), r)
	require.NoError(t, err)
	require.Empty(t, p.Steps)
	undo(t, s, e)
	require.Equal(t, "secret", f.content(t, "files", "k"))
	e = carryOut(t, s, r)
	f.put(t, "files", "k", "new")
	_, err = s.Undo(t.Context(), e)
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	f.put(t, "plain", "k", "x")
	_, err = s.Plan(t.Context(), request(sources.OverwriteFile, sources.TargetFile, "s3://plain/k"))
	require.Equal(t, fault.Permanent, fault.Of(err), "%v", err)
	require.NoError(t, s.Probe(t.Context(), "actions/overwrite_file"))
}

// The files of the trail itself, and the quarantine's, are not acted on.
func TestFilesOutOfReach(t *testing.T) {
	t.Parallel()
	f := newFakeIAM(t)
	s := governed(t, f, func(c *Config) {
		c.CloudTrail.URL, c.Actions.Quarantine = "s3://trail/AWSLogs/?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A1", "quarantine"
	})
	for id, class := range map[string]fault.Class{
		"s3://trail/AWSLogs/x.json.gz": fault.Permanent, "s3://quarantine/k": fault.Permanent,
		"s3://files/dir/": fault.BadData, "s3://files/../x": fault.BadData, "s3://files/a/./b": fault.BadData, "s3://files/k?versionId=1": fault.BadData, "s3://files/": fault.BadData, "s3://files": fault.BadData,
		"s3://FILES/k": fault.BadData, "s3://a/k": fault.BadData, "s3://files/" + strings.Repeat("k", 1025): fault.BadData, "s3://files/a\nb": fault.BadData, "s3://files/a\u202eb": fault.BadData, "https://files/k": fault.BadData, "s3://u@files/k": fault.BadData,
	} {
		_, err := s.Plan(t.Context(), request(sources.TrashFile, sources.TargetFile, id))
		require.Equal(t, class, fault.Of(err), "%q: %v", id, err)
	}
	for _, id := range []string{"Files", "files/k", "files?policy", "..", "arn:aws:s3:::files", strings.Repeat("b", 64)} {
		_, err := s.Plan(t.Context(), request(sources.MakePrivate, sources.TargetBucket, id))
		require.Equal(t, fault.BadData, fault.Of(err), "%q: %v", id, err)
	}
}

// Each bucket is spoken to in its own region, and only as the account's own.
func TestBucketRegions(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{"": "us-east-1", "EU": "eu-west-1", "ap-south-1": "ap-south-1", "redirect": "sa-east-1"} {
		var asked []string
		ac := &account{id: ownAccount, partition: "aws", cfg: &Config{}, sdk: aws.Config{
			Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("example", "example", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			HTTPClient: clientFunc(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.URL.Host+r.URL.RequestURI()+" "+r.Header.Get("x-amz-expected-bucket-owner"))
				w := httptest.NewRecorder()
				if location == "redirect" {
					w.Header().Set("x-amz-bucket-region", "sa-east-1")
					refuse(w, 301, "PermanentRedirect", "")
				} else {
					fmt.Fprintf(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s</LocationConstraint>`, location)
				}
				return w.Result(), nil
			}),
		}}
		c, err := ac.ofBucket(t.Context(), &args{Bucket: "files"})
		require.NoError(t, err)
		require.Equal(t, want, c.Options().Region)
		require.Equal(t, []string{"files.s3.eu-central-1.amazonaws.com/?location= " + ownAccount}, asked)
	}
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestWithoutOthers(t *testing.T) {
	t.Parallel()
	statement := func(sid, effect, principal, rest string) string {
		return `{"Sid":"` + sid + `","Effect":"` + effect + `","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"` + rest + `}`
	}
	trail := statement("trail", "Allow", `{"Service":"cloudtrail.amazonaws.com"}`, "")
	own := statement("own", "Allow", `{"AWS":["`+ownAccount+`","arn:aws:iam::`+ownAccount+`:role/x"]}`, "")
	other := statement("other", "Allow", `{"AWS":["arn:aws:iam::444455556666:root","`+ownAccount+`"]}`, "")
	all := statement("all", "Allow", `{"AWS":"*"}`, "")
	org := statement("org", "Allow", `"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-abcdefghij"}}`)
	deny := statement("deny", "Deny", `"*"`, "")
	policy := func(s ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(s, ",") + `]}`
	}
	for _, c := range []struct {
		in, public, external string
	}{
		{policy(trail, own, deny, org), policy(trail, own, deny, org), policy(trail, own, deny, org)},
		{policy(all), "", ""},
		{`{"Statement":` + all + `}`, "", ""},
		{policy(trail, all, other), policy(trail, other), policy(trail, statement("other", "Allow", `{"AWS":["`+ownAccount+`"]}`, ""))},
		{policy(deny, strings.Replace(own, `"Principal"`, `"NotPrincipal"`, 1)), policy(deny), policy(deny)},
		{policy(statement("x", "Allow", `{"CanonicalUser":"79a5"}`, ""), own), policy(statement("x", "Allow", `{"CanonicalUser":"79a5"}`, ""), own), policy(own)},
		{"", "", ""},
	} {
		for external, want := range map[bool]string{false: c.public, true: c.external} {
			got, _, kept, err := withoutOthers(c.in, ownAccount, external)
			require.NoError(t, err)
			require.True(t, sameDocument(want, got), "%s\n%s", c.in, got)
			require.Equal(t, strings.Contains(c.in, "PrincipalOrgID"), kept)
		}
	}
	for _, bad := range []string{"{", `{"Statement":[1]}`, policy(statement("x", "Allow", `7`, ""))} {
		_, _, _, err := withoutOthers(bad, ownAccount, true)
		require.Error(t, err, bad)
	}
}

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{"s3://files/k", "s3://files/a b/ü?x=1&y#z%2F", "s3://a..b/../k", "s3://files//k", "s3://files/\x00", "s3://files/k?versionId=1", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		bucket, key, err := parseFile(id)
		if err != nil {
			require.Equal(t, fault.BadData, fault.Of(err))
			return
		}
		require.Equal(t, id, "s3://"+bucket+"/"+key)
		source := aws.ToString(copySource(bucket, key, "v1"))
		u, err := url.Parse(source)
		require.NoError(t, err)
		require.Equal(t, "/"+bucket+"/"+key, u.Path)
		require.Equal(t, "versionId=v1", u.RawQuery)
		require.Empty(t, u.Fragment)
	})
}

func FuzzWithoutOthers(f *testing.F) {
	for _, s := range []string{`{"Statement":[{"Effect":"Allow","Principal":"*"}]}`, `{"Statement":{"Effect":"Allow","Principal":{"AWS":["*","1"]},"Condition":{}}}`, `[]`, `{"Statement":null}`, "null"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, document string) {
		for _, external := range []bool{false, true} {
			edited, removed, _, err := withoutOthers(document, ownAccount, external)
			if err != nil || len(removed) == 0 {
				continue
			}
			if edited == "" {
				continue
			}
			require.True(t, json.Valid([]byte(edited)))
			_, again, _, err := withoutOthers(edited, ownAccount, external)
			require.NoError(t, err)
			require.Empty(t, again, "once is enough: %s", edited)
		}
		isAdmin(document)
		deniesMarked(document)
		olderThan(document)
	})
}
