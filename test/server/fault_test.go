package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// sink is a server that counts what it gets, and answers each line with "ok\n".
func sink(t *testing.T) (addr string, got *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 1000)
				for {
					n, err := c.Read(b)
					got.Add(int64(n))
					for range strings.Count(string(b[:n]), "\n") {
						_, _ = io.WriteString(c, "ok\n")
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), got
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// speaks returns nil when a line is answered.
func speaks(c net.Conn) error {
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 3))
	return err
}

func TestFault(t *testing.T) {
	addr, got := sink(t)
	p := Fault(t, addr)
	c, other := dial(t, p), dial(t, p)
	for _, c := range []net.Conn{c, other} {
		if err := speaks(c); err != nil {
			t.Fatal(err)
		}
	}
	p.CutAfter(1234)
	if _, err := c.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, other} {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a connection that was cut ends with %v", err)
		}
	}
	until(t, "the bytes before the cut", func() bool { return got.Load() == 12+1234 })
	if p.Cuts() != 1 || p.Sent() != 12+1234 {
		t.Errorf("%d cuts, %d bytes", p.Cuts(), p.Sent())
	}
	c = dial(t, p)
	if err := speaks(c); err != nil {
		t.Fatalf("after the cut: %v", err)
	}
	p.Refuse(true)
	if err := speaks(c); err == nil {
		t.Error("refusing cuts nothing")
	}
	if _, err := net.Dial("tcp", p.Addr); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("refusing: %v", err)
	}
	p.Refuse(false)
	c = dial(t, p)
	p.Stall(true)
	before, start := got.Load(), time.Now()
	go func() {
		time.Sleep(100 * time.Millisecond)
		p.Stall(false)
	}()
	if err := speaks(c); err != nil || time.Since(start) < 100*time.Millisecond || got.Load() != before+6 {
		t.Errorf("a stalled connection: %v after %s, %d bytes", err, time.Since(start), got.Load()-before)
	}
	p.Delay(50 * time.Millisecond)
	start = time.Now()
	if err := speaks(c); err != nil || time.Since(start) < 100*time.Millisecond {
		t.Errorf("a slow connection: %v after %s", err, time.Since(start))
	}
}

func TestS3(t *testing.T) {
	s := S3(t)
	r, err := http.Get(s.Endpoint + "/" + s.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("without a key: %s", r.Status)
	}
	s.Stop()
	if _, err := http.Get(s.Endpoint + "/health"); err == nil {
		t.Error("a stopped store answers")
	}
	s.Start()
	if keys := s.Objects(); len(keys) != 0 {
		t.Errorf("a new store has %q", keys)
	}
	client, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), s.Bucket, "a/b.txt", strings.NewReader("text"), 4, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if keys := s.Objects(); len(keys) != 1 || keys[0] != "a/b.txt" {
		t.Errorf("the store has %q", keys)
	}
}
