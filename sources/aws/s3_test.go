package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/s3test"
	"weir/sources"
)

// openFake opens a session on a server that answers as the test says.
func openFake(t *testing.T, clock clockwork.Clock, h http.HandlerFunc) *session {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL = "s3://trail/p?region=us-east-1&path_style=true&endpoint=" + url.QueryEscape(server.URL)
	cfg.CloudTrail.BucketOwner = "111111111111"
	cfg.Auth.AccessKeyID, cfg.Auth.SecretAccessKey = secretOf("example"), secretOf("example")
	require.Empty(t, cfg.Validate())
	s, err := open(t.Context(), sources.Env{Instance: "t", Clock: clock}, cfg)
	require.NoError(t, err)
	return s.(*session)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message><RequestId>r</RequestId></Error>`, code, message)
}

// Error codes are classed as the contract says, in listings and in reads.
func TestS3Errors(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		status  int
		message string
		header  [2]string
		class   fault.Class
		text    string
		wait    time.Duration
	}{
		"SlowDown":                     {status: 503, class: fault.Throttled, wait: throttleWait},
		"ThrottlingException":          {status: 400, class: fault.Throttled, header: [2]string{"Retry-After", "7"}, wait: 7 * time.Second},
		"InternalError":                {status: 500, class: fault.Transient},
		"ServiceUnavailable":           {status: 503, class: fault.Transient},
		"RequestTimeTooSkewed":         {status: 403, class: fault.Transient},
		"ExpiredToken":                 {status: 400, class: fault.Transient},
		"SomethingNew":                 {status: 418, class: fault.Transient},
		"AccessDenied":                 {status: 403, message: "not authorized to perform: s3:ListBucket", class: fault.Forbidden, text: "s3:ListBucket"},
		"AllAccessDisabled":            {status: 403, class: fault.Forbidden},
		"InvalidAccessKeyId":           {status: 403, class: fault.Auth},
		"SignatureDoesNotMatch":        {status: 403, class: fault.Auth},
		"NoSuchBucket":                 {status: 404, class: fault.Permanent},
		"PermanentRedirect":            {status: 301, header: [2]string{"x-amz-bucket-region", "eu-west-1"}, class: fault.Permanent, text: "set region=eu-west-1 in cloudtrail.url"},
		"AuthorizationHeaderMalformed": {status: 400, class: fault.Permanent, text: "wrong region"},
		"NoSuchKey":                    {status: 404, class: fault.BadData},
		"InvalidObjectState":           {status: 403, class: fault.BadData, text: "archived"},
		"KMS.DisabledException":        {status: 400, class: fault.BadData, text: "kms:Decrypt"},
		"AccessDenied ":                {status: 403, message: "not authorized to perform: kms:Decrypt on this resource", class: fault.BadData, text: "kms:Decrypt"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := openFake(t, clockwork.NewRealClock(), func(w http.ResponseWriter, r *http.Request) {
				if c.header[0] != "" {
					w.Header().Set(c.header[0], c.header[1])
				}
				refuse(w, c.status, strings.TrimSpace(code), c.message)
			})
			_, _, _, err := readAll(t, s, sources.Lane{ID: "f.json"}, "")
			listErr := s.store.list(t.Context(), "", "", func([]object) error { return nil })
			require.Equal(t, c.class, fault.Of(listErr), "%v", listErr)
			if c.class == fault.Permanent {
				c.class = fault.Forbidden // a file is not parked for what its bucket is
			}
			require.Equal(t, c.class, fault.Of(err), "%v", err)
			for _, err := range []error{err, listErr} {
				require.ErrorContains(t, err, c.text)
				require.ErrorContains(t, err, "s3://trail/p/")
				require.Equal(t, c.wait, fault.RetryAfter(err))
			}
		})
	}
}

// A body that ends before its length is the network's fault, not the file's.
func TestS3BodyCut(t *testing.T) {
	t.Parallel()
	whole := gz(logFile(0, 3000))
	listed := fmt.Sprintf("abc-%d", len(whole))
	half := func(etag string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("ETag", `"`+etag+`"`)
			_, _ = w.Write(whole[:len(whole)/2])
		}
	}
	for name, c := range map[string]struct {
		serve func(w http.ResponseWriter)
		class fault.Class
	}{
		"a length that hides it": {half("abc"), fault.Transient},
		"another object":         {half("def"), fault.BadData},
		"no length": {func(w http.ResponseWriter) {
			w.Header().Set("ETag", `"abc"`)
			w.(http.Flusher).Flush()
			_, _ = w.Write(whole[:len(whole)/2])
		}, fault.Transient},
		"length": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			_, _ = w.Write(whole[:len(whole)/2])
			panic(http.ErrAbortHandler)
		}, fault.Transient},
		"chunked": {func(w http.ResponseWriter) {
			_, _ = w.Write(whole[:len(whole)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, fault.Transient},
		"truncated": {func(w http.ResponseWriter) { _, _ = w.Write(whole[:len(whole)/2]) }, fault.BadData},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openFake(t, clockwork.NewRealClock(), func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("x-amz-expected-bucket-owner") != "111111111111" {
					refuse(w, 403, "AccessDenied", "")
					return
				}
				c.serve(w)
			})
			_, cursors, _, err := readAll(t, s, sources.Lane{ID: "f.json.gz", Hint: listed}, "")
			require.Equal(t, c.class, fault.Of(err), "%v", err)
			require.NotEmpty(t, cursors, "the pages before stand")
		})
	}
}

// A body that falls silent is given up; one that waits for us is not.
func TestS3Stall(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(listNow)
	whole := []byte(logFile(0, 20_000))
	silent := make(chan struct{})
	s := openFake(t, clock, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(whole[:len(whole)-100])
		w.(http.Flusher).Flush()
		close(silent)
		<-r.Context().Done()
	})
	var failed error
	pages := 0
	for page, err := range s.read(t.Context(), sources.Lane{ID: "f.json"}, "") {
		if err != nil {
			failed = err
			break
		}
		if pages++; pages == 1 {
			clock.Advance(2 * stallTime) // the state was slow
			go func() {
				<-silent
				for t.Context().Err() == nil {
					if clock.BlockUntilContext(t.Context(), 1) == nil {
						clock.Advance(time.Second)
					}
				}
			}()
		}
		require.True(t, page.More)
	}
	require.Greater(t, pages, 3)
	require.Equal(t, fault.Transient, fault.Of(failed), "%v", failed)
	require.ErrorContains(t, failed, "nothing received for 1m")
}

// Servers that list wrongly cannot hold us for ever, nor fill the memory.
func TestS3ListingsBounded(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>trail</Name>`
	entry := func(key string) string {
		return `<Contents><Key>` + key + `</Key><LastModified>2026-10-01T09:05:11.000Z</LastModified><ETag>"9f"</ETag><Size>5</Size></Contents>`
	}
	for name, c := range map[string]struct {
		answer string
		keys   []string
		err    string
	}{
		"same token":            {head + `<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>` + entry("p/c.json") + `</ListBucketResult>`, []string{"c.json"}, "the same page came again"},
		"endless":               {head + strings.Repeat(entry("p/x.json"), maxAnswer/100) + `</ListBucketResult>`, nil, "EOF"},
		"start-after forgotten": {head + `<IsTruncated>false</IsTruncated>` + entry("p/a.json") + entry("p/b.json") + entry("p/c.json") + `</ListBucketResult>`, []string{"c.json"}, ""},
		"not XML":               {"<html>proxy", nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openFake(t, clockwork.NewRealClock(), func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, c.answer)
			})
			var keys []string
			err := s.store.list(t.Context(), "", "b.json", func(objects []object) error {
				for _, o := range objects {
					keys = append(keys, o.key)
					require.Equal(t, "9f-5", o.tag)
				}
				return nil
			})
			require.Equal(t, c.keys, keys)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
			require.Equal(t, fault.Transient, fault.Of(err))
		})
	}
}

func TestS3NoCredentials(t *testing.T) {
	t.Parallel()
	err := awsFault("listing", fmt.Errorf("operation error S3: get identity: get credentials: %w", errors.New("no provider")))
	require.Equal(t, fault.Auth, fault.Of(err))
	require.Equal(t, fault.Transient, fault.Of(awsFault("listing", context.DeadlineExceeded)))
}

func TestSessionName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "weir-acme-trail", sessionName("acme-trail"))
	require.Equal(t, "weir-a-b--c", sessionName("a b/:c"))
	require.Len(t, sessionName(strings.Repeat("x", 100)), 64)
}

// The same through a real S3 server.
func TestS3(t *testing.T) {
	server := s3test.Start(t)
	for i := range 3 {
		require.NoError(t, server.Put(t.Context(), fmt.Sprintf("p/%s2026/10/0%d/f.json.gz", logs, i+1), gz(logFile(i*1500, 1500))))
	}
	require.NoError(t, server.Put(t.Context(), "p/"+logs+"2026/10/01/bad.json.gz", []byte("x")))
	t.Setenv("TEST_S3_ID", server.AccessKey)
	t.Setenv("TEST_S3_KEY", server.SecretKey)
	cfg := Connector.Config().(*Config)
	cfg.CloudTrail.URL = server.URL("p/")
	cfg.Auth.AccessKeyID, cfg.Auth.SecretAccessKey = secretOf("${env:TEST_S3_ID}"), secretOf("${env:TEST_S3_KEY}")
	require.Empty(t, cfg.Validate())
	open1 := func() *session {
		s, err := open(t.Context(), sources.Env{Instance: "t", Clock: clockwork.NewRealClock()}, cfg)
		require.NoError(t, err)
		return s.(*session)
	}
	s := open1()
	tenant, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, "111111111111", tenant)
	lanes, c := listAll(t, s, "")
	require.Len(t, lanes, 4)
	rows, bad := 0, 0
	for _, l := range lanes {
		ids, cursors, _, err := readAll(t, s, l, "")
		rows += len(ids)
		if err != nil {
			require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
			bad++
			continue
		}
		rest, _, _, err := readAll(t, s, l, cursors[0])
		require.NoError(t, err)
		require.Len(t, rest, 1500-pageRecords)
	}
	require.Equal(t, 4500, rows)
	require.Equal(t, 1, bad)
	_, _, _, err = readAll(t, s, sources.Lane{ID: "gone.json"}, "")
	require.Equal(t, fault.BadData, fault.Of(err))

	// A poll finds today's, a page of 1,000 is not the end, another etag is
	// another hint.
	today := "p/" + logs + time.Now().UTC().Format(dayLayout) + "/"
	for i := range 1100 {
		require.NoError(t, server.Put(t.Context(), fmt.Sprintf("%sf%04d.json", today, i), []byte("{}")))
	}
	again, _ := listAll(t, s, c)
	require.Len(t, again, 1100)
	require.NoError(t, server.Put(t.Context(), today+"f0000.json", []byte("{ }")))
	changed, _ := listAll(t, s, c)
	require.Equal(t, again[0].ID, changed[0].ID)
	require.NotEqual(t, again[0].Hint, changed[0].Hint)

	t.Setenv("TEST_S3_KEY", "wrong")
	for _, err := range open1().lanes(t.Context(), "") {
		require.Error(t, err)
		require.Contains(t, []fault.Class{fault.Auth, fault.Forbidden}, fault.Of(err), "%v", err)
		require.NotContains(t, err.Error(), server.SecretKey)
	}
}
