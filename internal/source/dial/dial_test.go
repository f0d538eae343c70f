package dial_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/source"
	"firth/internal/source/dial"
	"firth/test/server"
)

// site is a server behind the tunnel.
func site(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "deep water") }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func fetch(t *testing.T, tunnel *dial.Tunnel, address string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: tunnel.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

func open(t *testing.T, s dial.Server) *dial.Tunnel {
	t.Helper()
	tunnel, err := dial.SSH(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
	})
	return tunnel
}

// TestTunnel goes through a real SSH server, which is then restarted, and stopped.
func TestTunnel(t *testing.T) {
	address := site(t)
	s := server.SSH(t)
	tunnel := open(t, dial.Server{Address: s.Addr(), User: s.User, KeyFile: s.KeyFile, KnownHosts: s.KnownHosts})
	for range 3 {
		if text, err := fetch(t, tunnel, address); err != nil || text != "deep water" {
			t.Fatalf("%q, %v; the server says %s", text, err, s.Log())
		}
	}
	s.Stop()
	s.Start()
	if text, err := fetch(t, tunnel, address); err != nil || text != "deep water" {
		t.Errorf("after a restart: %q, %v", text, err)
	}
	_, err := fetch(t, tunnel, "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "cannot be reached from there") || !source.CanRetry(err) {
		t.Errorf("a database that does not listen: %v", err)
	}
	s.Stop()
	if _, err = fetch(t, tunnel, address); err == nil || !strings.Contains(err.Error(), "SSH server") || !source.CanRetry(err) {
		t.Errorf("a server that is down: %v", err)
	}
}

// TestTunnelRefused looks at what a person reads who set it up wrong.
func TestTunnelRefused(t *testing.T) {
	s, other := server.SSH(t), server.SSH(t)
	right := dial.Server{Address: s.Addr(), User: s.User, KeyFile: s.KeyFile, KnownHosts: s.KnownHosts}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed")
	text, err := os.ReadFile(other.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(text), " ")
	if err := os.WriteFile(changed, []byte("[127.0.0.1]:"+strings.TrimPrefix(s.Addr(), "127.0.0.1:")+" "+key), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		change     func(*dial.Server)
		says, hint string
	}{
		{"a key that may not log in", func(d *dial.Server) { d.KeyFile = other.KeyFile }, "unable to authenticate", "authorized_keys"},
		{"an unknown server", func(d *dial.Server) { d.KnownHosts = empty }, "its key is not known", "ssh-keyscan"},
		{"another server's key", func(d *dial.Server) { d.KnownHosts = changed }, "another than the known one", "ask the server's owner"},
	} {
		d := right
		tt.change(&d)
		_, err := fetch(t, open(t, d), "127.0.0.1:1")
		var e *source.Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), tt.says) || !strings.Contains(e.Hint(), tt.hint) || e.Retry {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		name       string
		change     func(*dial.Server)
		says, hint string
	}{
		{"no key file", func(d *dial.Server) { d.KeyFile = "/does/not/exist" }, "no such file", "ssh.key"},
		{"nothing to log in with", func(d *dial.Server) { d.KeyFile = "" }, "neither a key nor a password", "ssh.password"},
		{"a file that is no key", func(d *dial.Server) { d.KeyFile = s.KnownHosts }, "the key", "ssh-keygen"},
		{"no list of servers", func(d *dial.Server) { d.KnownHosts = "/does/not/exist" }, "known hosts", "ssh-keyscan"},
	} {
		d := right
		tt.change(&d)
		_, err := dial.SSH(d)
		var e *source.Error
		if !errors.As(err, &e) || !strings.Contains(e.Error(), tt.says) || !strings.Contains(e.Hint(), tt.hint) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestTLS asks two servers, one of which has a certificate for its host of a CA that is known, in every mode.
func TestTLS(t *testing.T) {
	authority := server.NewAuthority(t)
	good := listen(t, authority, "127.0.0.1")
	misnamed := listen(t, authority, "db.example.com")
	stranger := listen(t, server.NewAuthority(t), "127.0.0.1")
	for _, tt := range []struct {
		mode, ca                  string
		good, misnamed, strangers bool
	}{
		{dial.Require, "", true, true, true},
		{dial.Require, authority.File, true, true, false},
		{dial.VerifyCA, authority.File, true, true, false},
		{dial.VerifyCA, "", false, false, false},
		{dial.VerifyFull, authority.File, true, false, false},
		{dial.VerifyFull, "", false, false, false},
	} {
		config, err := dial.TLS(tt.mode, tt.ca, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]bool{good: tt.good, misnamed: tt.misnamed, stranger: tt.strangers} {
			conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
			if (err == nil) != want {
				t.Errorf("%s with CA %q at %s: %v", tt.mode, tt.ca, address, err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
	}
	if config, err := dial.TLS(dial.Disable, "", "x"); config != nil || err != nil {
		t.Errorf("disable: %v, %v", config, err)
	}
	for _, wrong := range [][2]string{{"prefer", ""}, {dial.VerifyFull, "/does/not/exist"}, {dial.VerifyFull, "dial_test.go"}} {
		if _, err := dial.TLS(wrong[0], wrong[1], "x"); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func listen(t *testing.T, a *server.Authority, host string) (address string) {
	t.Helper()
	cert := a.Issue(t, host)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // the handshake is what matters
			}(conn)
		}
	}()
	return l.Addr().String()
}
