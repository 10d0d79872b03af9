// Package s3test runs a real S3 server for tests: versitygw, on loopback, over
// a temporary directory. `make tools` installs it.
package s3test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

// Server is a running S3 server with one bucket.
type Server struct {
	Endpoint, AccessKey, SecretKey, Bucket, Region string

	client *s3.Client
}

// Start runs a server until the test ends; without versitygw the test is
// skipped, or fails where WEIR_REQUIRE_S3=1.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAs(t, "")
}

// StartAs is Start with an access key of one's own, which is also what the
// server takes for the id of the account that owns the buckets. "" is any.
func StartAs(t testing.TB, owner string) *Server {
	t.Helper()
	bin := find(t)
	var err error
	for range 3 { // another process may take the port first
		s := &Server{AccessKey: cmp.Or(owner, rand.Text()), SecretKey: rand.Text(), Bucket: "trail", Region: "us-east-1"}
		if err = s.start(t, bin); err == nil {
			return s
		}
	}
	t.Fatal(err)
	return nil
}

// start runs the server on a free port, and makes the bucket.
func (s *Server) start(t testing.TB, bin string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	s.Endpoint = "http://" + addr
	cmd := exec.Command(bin, "--port", addr, "posix", "--versioning-dir", t.TempDir(), t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.AccessKey, "ROOT_SECRET_ACCESS_KEY="+s.SecretKey, "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	stop := func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(stop)
	s.client = s3.New(s3.Options{
		Region: s.Region, BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	})
	deadline := time.After(30 * time.Second)
	for {
		_, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &s.Bucket})
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ended:
		case <-deadline:
			stop()
		}
		return fmt.Errorf("the S3 server does not answer: %w\n%s", err, log.String())
	}
}

func find(t testing.TB) string {
	_, self, _, _ := runtime.Caller(0)
	for _, name := range []string{os.Getenv("WEIR_VERSITYGW"), filepath.Join(filepath.Dir(self), "..", "..", "bin", "versitygw"), "versitygw"} {
		if name == "" {
			continue
		}
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	if os.Getenv("WEIR_REQUIRE_S3") == "1" {
		t.Fatal("versitygw is required and not installed (make tools)")
	}
	t.Skip("versitygw is not installed (make tools)")
	return ""
}

// Client speaks to the server as its owner.
func (s *Server) Client() *s3.Client { return s.client }

// Put stores an object.
func (s *Server) Put(ctx context.Context, key string, content []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

// URL is the bucket's address as cloudtrail.url takes it.
func (s *Server) URL(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?region=%s&endpoint=%s&path_style=true", s.Bucket, prefix, s.Region, s.Endpoint)
}
