package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/test/rig"
	"firth/test/server"
)

// run runs a command of the binary, which must not fail.
func (st *stand) run(args ...string) string {
	st.Helper()
	out, err := st.s.Run(args...)
	if err != nil {
		st.Fatal(err)
	}
	return out
}

// TestCommands runs the commands of firth lake, beside a server and without one, with an empty cache, and moves the lake to another prefix by
// backup and restore.
func TestCommands(t *testing.T) {
	st := newStand(t)
	st.s.Start()
	st.load.Send(20)
	st.load.Settle(patience)
	st.run("lake", "merge", "--which", "all")
	backup := filepath.Join(t.TempDir(), "backup")
	st.run("lake", "backup", backup)
	for _, running := range []bool{true, false} {
		if !running {
			if code := st.s.Stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if err := os.RemoveAll(filepath.Join(st.s.Data, "cache")); err != nil {
				t.Fatal(err)
			}
		}
		var files struct {
			Total struct{ Files, Rows int }
		}
		if err := json.Unmarshal([]byte(st.run("lake", "files", "-o", "json")), &files); err != nil || files.Total.Rows != st.load.Acked() {
			t.Errorf("files: %+v, %v; %d events were acknowledged", files, err, st.load.Acked())
		}
		if out := st.run("lake", "verify"); !strings.Contains(out, " 0 damaged") {
			t.Errorf("verify: %s", out)
		}
		st.run("lake", "expire")
		if out := st.run("check"); !strings.Contains(out, "s3://") {
			t.Errorf("check: %s", out)
		}
	}
	st.elsewhere(backup)
}

// elsewhere restores a backup to another prefix with another data folder.
func (st *stand) elsewhere(backup string) {
	st.Helper()
	other := rig.New(st, strings.Replace(st.config(), "/"+prefix, "/elsewhere", 1))
	if _, err := other.Run("lake", "restore", backup); err != nil {
		st.Fatal(err)
	}
	other.Start()
	other.Eventually(patience, "the rows to be at the other prefix", func() error {
		n, err := other.Count("SELECT count(*) FROM lake.shop")
		if err == nil && n != st.load.Acked() {
			err = fmt.Errorf("%d rows of %d", n, st.load.Acked())
		}
		return err
	})
	// A third data folder cannot take the prefix.
	third := rig.New(st, strings.Replace(st.config(), "/"+prefix, "/elsewhere", 1))
	out, err := third.Run("check")
	if err == nil || !strings.Contains(out, "another Firth writes there") || !strings.Contains(out, "lake.url") {
		st.Errorf("a check on another lake's prefix: %v\n%s", err, out)
	}
	third.Launch()
	if code, ended := third.Wait(patience); !ended || code == 0 {
		st.Errorf("a server on another lake's prefix: ended %v, exit code %d", ended, code)
	}
}

// TestCheckHints: what firth check says of a store on which something is wrong, without any key.
func TestCheckHints(t *testing.T) {
	st := newStand(t)
	key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	for _, c := range []struct {
		name, want string
		prepare    func()
	}{
		{"refused", "s3:PutObject", func() {
			st.proxy.Rule(func(r server.StoreRequest) server.StoreFault {
				if r.Op == "PUT" {
					return server.StoreRefuses
				}
				return ""
			})
		}},
		{"wrong secret", "AWS_SECRET_ACCESS_KEY", func() { st.proxy.Rule(nil); t.Setenv("AWS_SECRET_ACCESS_KEY", "another-secret-key") }},
		{"unknown key", "AWS_ACCESS_KEY_ID", func() { t.Setenv("AWS_ACCESS_KEY_ID", "another-access-key") }},
		{"no bucket", "aws s3 mb s3://no-such-bucket", func() {
			t.Setenv("AWS_ACCESS_KEY_ID", key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
			st.s.Configure(st.s.Data, strings.Replace(st.config(), "s3://"+st.real.Bucket, "s3://no-such-bucket", 1))
		}},
		{"nobody there", "see whether 127.0.0.1:", func() { st.s.Configure(st.s.Data, st.config()); st.real.Stop() }},
	} {
		c.prepare()
		out, err := st.s.Run("check")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		shown := out + errors.Join(err).Error()
		for _, hidden := range []string{secret, "another-secret-key"} {
			if strings.Contains(shown, hidden) {
				t.Errorf("%s shows the secret: %s", c.name, shown)
			}
		}
	}
}

// TestFirstStartWithoutAStore: a first start that finds no store says why it ends and what to do, and what is asked of the lake then is no error.
func TestFirstStartWithoutAStore(t *testing.T) {
	st := newStand(t)
	st.real.Stop()
	from := len(st.s.Log(0))
	st.s.Launch()
	if code, ended := st.s.Wait(patience); !ended || code != 1 {
		t.Errorf("ended %v, exit code %d", ended, code)
	}
	if log := st.s.Log(from); !strings.Contains(log, "firth: open lake: ") || !strings.Contains(log, "→ see whether 127.0.0.1:") {
		t.Errorf("it says: %s", log)
	}
	for _, words := range [][]string{{"lake", "files"}, {"lake", "snapshots"}} {
		if out := st.run(words...); strings.Contains(out, "firth_dead_letters") {
			t.Errorf("%v: %s", words, out)
		}
	}
	if out, err := st.s.Run("check"); err == nil || !strings.Contains(out, "none yet") || strings.Contains(out, "restore") {
		t.Errorf("check: %v\n%s", err, out)
	}
	st.real.Start()
	st.s.Start()
	st.load.Send(5)
	st.load.Settle(patience)
}
