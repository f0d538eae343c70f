package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/disk/remote"
	"firth/internal/object"
	"firth/test/server"
)

// TestEviction: what was not used for the longest time goes when the cache is full, and comes back when it is read.
func TestEviction(t *testing.T) {
	p := newPlace(t)
	now := time.Now().Add(time.Minute)
	f := p.open(func(o *remote.Options) { o.Bytes, o.Now = 1000, func() time.Time { return now } })
	for _, name := range []string{"t/a", "t/b", "t/c"} {
		p.put(f, name, bytes.Repeat([]byte(name[2:]), 300))
		now = now.Add(time.Hour)
		f.Touch(p.at(name), now)
	}
	now = now.Add(time.Hour)
	p.want(f, "t/a", strings.Repeat("a", 300)) // used
	now = now.Add(time.Hour)
	p.put(f, "t/d", bytes.Repeat([]byte("d"), 300))
	same(t, "the cache", p.local(), "t/a", "t/c", "t/d")
	if s := f.Stats(); s.Evicted != 1 || s.EvictedBytes != 300 || s.Bytes != 900 || s.Limit != 1000 {
		t.Errorf("stats: %+v", s)
	}
	same(t, "objects", p.objects(), "t/a", "t/b", "t/c", "t/d")
	p.want(f, "t/b", strings.Repeat("b", 300))
	if !f.Cached(p.at("t/b")) || f.Cached(p.at("t/none")) {
		t.Error("Cached does not say what is here")
	}
	// A cache that was made smaller meanwhile is trimmed at once.
	p.open(func(o *remote.Options) { o.Bytes = 400 })
	if got := p.local(); len(got) != 1 {
		t.Errorf("after the start with a smaller bound: %q", got)
	}
}

// TestHeldFiles: a file that is held can be opened by name whatever becomes of it, in two processes' file systems on one folder.
func TestHeldFiles(t *testing.T) {
	p := newPlace(t)
	one, two := p.open(nil), p.open(nil)
	p.put(one, "t/a", []byte("aaa"))
	p.put(one, "t/b", []byte("bbb"))
	p.must(p.write(one, "t/waiting", []byte("www")))
	local, release, err := two.Fetch(t.Context(), []string{p.at("t/a"), p.at("t/b"), "/etc/hosts"})
	p.must(err)
	again, releaseAgain, err := two.Fetch(t.Context(), []string{p.at("t/a")})
	p.must(err)
	if local[2] != "/etc/hosts" || again[0] != local[0] {
		t.Errorf("held as %q and %q", local, again)
	}
	waiting, releaseWaiting, err := one.Fetch(t.Context(), []string{p.at("t/waiting")})
	p.must(err)
	p.must(os.Remove(p.at("t/a"))) // evicted
	p.must(one.Remove(p.at("t/b")))
	p.must(p.settle(one, "t/waiting"))
	for path, want := range map[string]string{local[0]: "aaa", local[1]: "bbb", waiting[0]: "www"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	release()
	release() // twice is as good as once
	if _, err := os.Stat(local[1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that nobody holds: %v", err)
	}
	if _, err := os.Stat(again[0]); err != nil {
		t.Errorf("a file that somebody still holds: %v", err)
	}
	releaseAgain()
	releaseWaiting()
	if s := two.Stats(); s.Held != 0 {
		t.Errorf("stats: %+v", s)
	}
	if _, _, err := two.Fetch(t.Context(), []string{p.at("t/a"), p.at("t/b")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("fetched what is gone: %v", err)
	}
	if s := two.Stats(); s.Held != 0 {
		t.Errorf("after a fetch that failed: %+v", s)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, release, err := two.Fetch(ended, []string{p.at("t/a")}); err == nil {
		release() // it was here already
	}
}

// TestTree lists all folders at once, as ReadDir does one by one.
func TestTree(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	for _, name := range []string{"t/data/d=1/a", "t/data/d=2/b", "t/metadata/m", "u/x"} {
		p.put(f, name, []byte(name))
	}
	p.must(p.write(f, "t/data/d=3/c", []byte("waits")))
	tmp, err := f.OpenFile(p.at("t/data/d=3/e.tmp"), os.O_WRONLY|os.O_CREATE, 0o644)
	p.must(err)
	p.must(tmp.Close())
	tree, err := f.Tree(p.at("t"))
	p.must(err)
	seen := 0
	for dir, entries := range tree {
		list, err := f.ReadDir(dir)
		p.must(err)
		if len(list) != len(entries) {
			t.Errorf("%s: %v and %v", dir, entries, list)
			continue
		}
		for i, e := range entries {
			a, aerr := e.Info()
			b, berr := list[i].Info()
			p.must(errors.Join(aerr, berr))
			if e.Name() != list[i].Name() || e.IsDir() != list[i].IsDir() || a.Size() != b.Size() || a.Mode() != b.Mode() {
				t.Errorf("%s: %v and %v", dir, a, b)
			}
			seen++
		}
	}
	if seen != 10 || len(tree) != 6 {
		t.Errorf("%d entries in %d folders: %v", seen, len(tree), tree)
	}
	if info, err := f.Stat(p.at("t/data")); err != nil || !info.IsDir() {
		t.Errorf("stat of a folder: %v, %v", info, err)
	}
	p.must(disk.MakeDir(f, p.at("t/data/d=9"), 0o755))
	if none, err := f.Tree(p.at("none")); err != nil || len(none) != 0 {
		t.Errorf("a tree of nothing: %v, %v", none, err)
	}
}

// TestClaim: a prefix has one owner, and who comes later from a copy of the same data folder is noticed.
func TestClaim(t *testing.T) {
	p := newPlace(t)
	now := time.Now()
	clock := func(o *remote.Options) { o.Now = func() time.Time { return now } }
	one := p.open(clock)
	p.must(one.Claim(t.Context(), remote.Owner{Lake: "lake-1", Run: "run-1", Host: "here"}))
	elsewhere := func(o *remote.Options) { o.Dir = filepath.Join(t.TempDir(), "lake"); clock(o) }
	two := p.open(elsewhere)
	err := two.Claim(t.Context(), remote.Owner{Lake: "lake-2", Run: "run-2", Host: "there"})
	var e *object.Error
	if !errors.As(err, &e) || e.Kind != object.Taken || !strings.Contains(e.Error(), "here") || !strings.Contains(e.Hint, "lake.url") {
		t.Errorf("another lake: %v", err)
	}
	p.put(one, "t/a", []byte("a"))
	p.must(two.Claim(t.Context(), remote.Owner{Lake: "lake-1", Run: "run-2", Host: "there"})) // a copy of the data folder
	now = now.Add(2 * time.Minute)
	p.must(p.write(one, "t/b", []byte("b")))
	if err := p.settle(one, "t/b"); object.KindOf(err) != object.Taken {
		t.Errorf("the first one writes on: %v", err)
	}
	if err := one.Remove(p.at("t/a")); object.KindOf(err) != object.Taken {
		t.Errorf("the first one removes: %v", err)
	}
	if list, err := one.ReadDir(p.dir); err != nil || len(list) != 1 || list[0].Name() != "t" {
		t.Errorf("the folder shows %v, %v", list, err)
	}
	// Without a store the claim is made with the first file.
	p.proxy.Rule(func(server.StoreRequest) server.StoreFault { return server.StoreFails })
	three := p.open(elsewhere)
	if err := three.Claim(t.Context(), remote.Owner{Lake: "lake-3", Run: "run-3"}); object.KindOf(err) != object.Trouble {
		t.Errorf("claimed without a store: %v", err)
	}
	p.proxy.Rule(nil)
	if err := three.Remove(filepath.Join(three.Dir(), "t/a")); object.KindOf(err) != object.Taken {
		t.Errorf("another lake removes: %v", err)
	}
	same(t, "objects", p.objects(), "firth.json", "t/a")
}

const childTask = "FIRTH_REMOTE_CHILD"

// TestKilledProcess kills a process in the midst of an upload, of a fetch, and while it holds a file: no half of a file is anywhere, and what it
// left is cleared away by who comes next.
func TestKilledProcess(t *testing.T) {
	if task := os.Getenv(childTask); task != "" {
		childWork(t, task)
		return
	}
	p := newPlace(t)
	f := p.open(nil)
	p.put(f, "t/there", bytes.Repeat([]byte("there "), 500_000))
	for _, task := range []string{"upload", "fetch", "hold"} {
		p.must(errors.Join(p.evictAll()))
		silent := map[string]string{"upload": "PUT", "fetch": "GET"}[task]
		began := make(chan struct{}, 100)
		p.proxy.Rule(func(r server.StoreRequest) server.StoreFault {
			if r.Op != silent {
				return ""
			}
			began <- struct{}{}
			if task == "upload" {
				return server.StoreSilent
			}
			return server.StoreCutOut // again and again, each time with half of it
		})
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledProcess$", "-test.v")
		cmd.Env = append(os.Environ(), childTask+"="+task, "FIRTH_REMOTE_URL="+p.proxy.URL("some/lake", "20s"), "FIRTH_REMOTE_DIR="+p.dir)
		out, err := cmd.StdoutPipe()
		p.must(err)
		p.must(cmd.Start())
		if task == "hold" {
			buf := make([]byte, 64<<10)
			for text := ""; !strings.Contains(text, "holding"); {
				n, err := out.Read(buf)
				p.must(err)
				text += string(buf[:n])
			}
		} else {
			<-began
		}
		p.must(cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		p.proxy.Rule(nil)
		same(t, task+": objects", p.objects(), "t/there")
		next := p.open(nil)
		left := slices.DeleteFunc(p.local(), func(name string) bool { return name == "t/there" })
		same(t, task+": left in the folder", left)
		p.want(next, "t/there", strings.Repeat("there ", 500_000))
	}
}

func (p *place) evictAll() error {
	err := os.Remove(p.at("t/there"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// childWork is what the process does that is killed.
func childWork(t *testing.T, task string) {
	store, err := object.Open(t.Context(), os.Getenv("FIRTH_REMOTE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	p := &place{T: t, dir: os.Getenv("FIRTH_REMOTE_DIR")}
	f, err := remote.Open(remote.Options{Store: store, Dir: p.dir})
	if err != nil {
		t.Fatal(err)
	}
	switch task {
	case "upload":
		p.must(p.write(f, "t/new", bytes.Repeat([]byte("new "), 500_000)))
		p.must(p.settle(f, "t/new"))
	case "fetch":
		p.want(f, "t/there", "")
	case "hold":
		_, _, err := f.Fetch(t.Context(), []string{p.at("t/there")})
		p.must(err)
		tmp, err := f.OpenFile(p.at("t/half.tmp"), os.O_WRONLY|os.O_CREATE, 0o644)
		p.must(err)
		_, err = tmp.Write([]byte("half"))
		p.must(err)
		_, err = os.Stdout.WriteString("holding\n")
		p.must(err)
		time.Sleep(time.Minute)
	}
}
