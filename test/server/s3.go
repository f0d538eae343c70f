package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Store is an S3-compatible server (versitygw) on a folder, with one bucket. It ends with the test.
type Store struct {
	Endpoint  string // http://host:port
	Region    string
	Bucket    string
	AccessKey string
	SecretKey string
	Dir       string // the bucket's objects as files
	t         testing.TB
	p         *process
}

// S3 starts a store for one test.
func S3(t testing.TB) *Store {
	t.Helper()
	program := installed(t, filepath.Join("bin", "versitygw-v1.8.0"))
	f := newFolder(t, "KILL")
	f.as = nil // the store does not mind who runs it
	s := &Store{Region: "us-east-1", Bucket: "firth-test", AccessKey: "test-access", SecretKey: "test-secret-key", t: t}
	root, users := filepath.Join(f.dir, "objects"), filepath.Join(f.dir, "users")
	s.Dir = filepath.Join(root, s.Bucket)
	for _, dir := range []string{s.Dir, users} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
	s.Endpoint = "http://" + addr
	s.p = &process{
		folder: f, name: program, up: s.answers,
		args: []string{"--port", addr, "--access", s.AccessKey, "--secret", s.SecretKey, "--region", s.Region, "--health", "/health", "--iam-dir", users, "posix", root},
	}
	s.p.start(t)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the log of the store:\n%s", s.p.log())
		}
		f.remove()
	})
	return s
}

func (s *Store) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint+"/health", nil)
	if err != nil {
		return err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	return nil
}

// URL is where something lies in the bucket: s3://bucket/prefix, with what a client must know to reach this server.
func (s *Store) URL(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s&region=%s&path_style=true", s.Bucket, prefix, s.Endpoint, s.Region)
}

// Stop ends the store at once.
func (s *Store) Stop() {
	s.t.Helper()
	s.p.stop(s.t, syscall.SIGKILL)
}

// Start starts the store again on the same port and folder, and returns when it answers.
func (s *Store) Start() {
	s.t.Helper()
	s.p.start(s.t)
}

// Objects are the keys of all objects in the bucket.
func (s *Store) Objects() (keys []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		key, err := filepath.Rel(s.Dir, path)
		if filepath.Dir(key) != ".sgwtmp" { // the server's own, of uploads under way
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}
