package remote_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/disk/remote"
	"firth/internal/object"
	"firth/test/server"
)

// place is a store with a proxy in front, and a folder.
type place struct {
	*testing.T
	real  *server.Store
	proxy *server.StoreProxy
	dir   string
}

func newPlace(t *testing.T) *place {
	real := server.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", real.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", real.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	return &place{T: t, real: real, proxy: server.StoreFaulty(t, real), dir: filepath.Join(t.TempDir(), "cache", "lake")}
}

func (p *place) store() *object.Store {
	p.Helper()
	s, err := object.Open(p.Context(), p.proxy.URL("some/lake", "2s"))
	p.must(err)
	return s
}

func (p *place) open(change func(*remote.Options)) *remote.FS {
	p.Helper()
	o := remote.Options{Store: p.store(), Dir: p.dir}
	if change != nil {
		change(&o)
	}
	f, err := remote.Open(o)
	p.must(err)
	p.Cleanup(func() { p.must(f.Close()) })
	return f
}

func (p *place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *place) at(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

// write writes a file as the lake does: under a temporary name, synced, named.
func (p *place) write(f *remote.FS, name string, content []byte) error {
	p.Helper()
	file, err := f.OpenFile(p.at(name)+".tmp", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	p.must(err)
	_, err = file.Write(content)
	p.must(errors.Join(err, file.Datasync(), file.Close()))
	return f.Rename(p.at(name)+".tmp", p.at(name))
}

func (p *place) settle(f *remote.FS, name string) error { return f.SyncDir(filepath.Dir(p.at(name))) }

func (p *place) put(f *remote.FS, name string, content []byte) {
	p.Helper()
	p.must(p.write(f, name, content))
	p.must(p.settle(f, name))
}

func (p *place) want(f disk.FS, name, content string) {
	p.Helper()
	got, err := disk.ReadFile(f, p.at(name))
	if err != nil || string(got) != content {
		p.Errorf("%s holds %.40q, %v; want %.40q", name, got, err, content)
	}
}

// objects are those below the prefix.
func (p *place) objects() []string {
	var out []string
	for _, key := range p.real.Objects() {
		rest, _ := strings.CutPrefix(key, "some/lake/")
		out = append(out, rest)
	}
	slices.Sort(out)
	return out
}

// local are the files in the folder, but for the locks.
func (p *place) local() []string {
	p.Helper()
	var out []string
	p.must(filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "lock" {
			rest, _ := filepath.Rel(p.dir, path)
			out = append(out, rest)
		}
		return err
	}))
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestFilesBecomeObjects follows a file on its way: it is an object when SyncDir has returned, not before, and stays in the cache.
func TestFilesBecomeObjects(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	const name = "t/data/day=1/a.parquet"
	p.must(p.write(f, name, []byte("rows")))
	same(t, "before the sync", p.objects())
	p.want(f, name, "rows")
	list, err := f.ReadDir(p.at("t/data/day=1"))
	if err != nil || len(list) != 1 || list[0].Name() != "a.parquet" {
		t.Errorf("listed %v, %v", list, err)
	}
	direct, err := f.OpenFile(p.at("t/metadata/m.avro"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	p.must(err)
	_, err = direct.Write([]byte("meta"))
	p.must(errors.Join(err, direct.Datasync(), direct.Close()))
	p.must(p.settle(f, name)) // which takes the other folder's along
	same(t, "after the sync", p.objects(), name, "t/metadata/m.avro")
	p.must(p.settle(f, "t/metadata/m.avro"))
	served, _ := p.proxy.Served()
	if served["PUT"] != 2 || served["LIST"] != 1 || len(served) != 2 {
		t.Errorf("that took %v", served)
	}
	p.want(f, name, "rows")
	info, err := f.Stat(p.at(name))
	if err != nil || info.Size() != 4 {
		t.Errorf("stat: %v, %v", info, err)
	}
	if served, _ = p.proxy.Served(); served["GET"]+served["HEAD"] != 0 {
		t.Errorf("what was just written was asked for at the store: %v", served)
	}
	p.must(f.Remove(p.at(name)))
	same(t, "after the removal", p.objects(), "t/metadata/m.avro")
	if _, err := disk.ReadFile(f, p.at(name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed file: %v", err)
	}
	if _, err := f.ReadDir(p.at("t/data/day=1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestLargeFilesDoNotWait: a file of some size is an object once it has its name, in parts where it is larger still.
func TestLargeFilesDoNotWait(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	large := bytes.Repeat([]byte("large file "), 2<<20) // 22 MB
	p.must(p.write(f, "t/large", large))
	same(t, "before any sync", p.objects(), "t/large")
	p.must(f.Remove(p.at("t/large")))
	p.put(f, "t/large", large)
	other := p.open(func(o *remote.Options) { o.Dir = filepath.Join(t.TempDir(), "other") })
	got, err := disk.ReadFile(other, filepath.Join(filepath.Dir(p.dir), "nothing"))
	if err == nil {
		t.Errorf("read %d bytes of nothing", len(got))
	}
}

// TestWriteOnce tries everything that would change a file.
func TestWriteOnce(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	p.put(f, "t/a", []byte("a"))
	p.put(f, "t/b", []byte("b"))
	for what, err := range map[string]error{
		"open to write":    second(f.OpenFile(p.at("t/a"), os.O_WRONLY, 0)),
		"create":           second(f.OpenFile(p.at("t/a"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)),
		"create over":      second(f.OpenFile(p.at("t/a"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)),
		"rename":           f.Rename(p.at("t/a"), p.at("t/c")),
		"rename over":      f.Rename(p.at("t/a"), p.at("t/b")),
		"rename elsewhere": f.Rename(p.at("t/a"), filepath.Join(t.TempDir(), "x")),
	} {
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Another process, which has no copy, writes over it: the store refuses.
	other := p.open(func(o *remote.Options) { o.Dir = filepath.Join(t.TempDir(), "lake") })
	file, err := other.OpenFile(filepath.Join(otherDir(t, other), "t/a"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	p.must(err)
	_, err = file.Write([]byte("another"))
	p.must(errors.Join(err, file.Datasync(), file.Close()))
	if err := other.SyncDir(filepath.Join(otherDir(t, other), "t")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written over by another: %v", err)
	}
	p.want(f, "t/a", "a")
	same(t, "objects", p.objects(), "t/a", "t/b")
}

func otherDir(t *testing.T, f *remote.FS) string {
	t.Helper()
	return f.Dir()
}

func second[T any](_ T, err error) error { return err }

// TestLocalFiles: what lies elsewhere is local, and a local file can be given a name at the store.
func TestLocalFiles(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	elsewhere := filepath.Join(filepath.Dir(p.dir), "local")
	p.must(disk.WriteFile(f, elsewhere, []byte("mine"), 0o600))
	got, err := os.ReadFile(elsewhere)
	if err != nil || string(got) != "mine" {
		t.Fatalf("read %q, %v", got, err)
	}
	p.real.Stop()
	if err := f.Rename(elsewhere, p.at("t/given")); err != nil {
		t.Fatal(err)
	}
	if err := p.settle(f, "t/given"); object.KindOf(err) != object.Unreachable {
		t.Errorf("synced without a store: %v", err)
	}
	p.real.Start()
	p.must(p.settle(f, "t/given"))
	p.want(f, "t/given", "mine")
	same(t, "objects", p.objects(), "t/given")
}

// TestFailedUploads: a failure is told to who syncs the folder, as often as he does while it lasts; other folders' are not held up.
func TestFailedUploads(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	p.proxy.Rule(func(r server.StoreRequest) server.StoreFault {
		if r.Op == "PUT" && strings.HasSuffix(r.Key, "t/bad") {
			return server.StoreRefuses
		}
		return ""
	})
	p.must(p.write(f, "t/bad", []byte("bad")))
	p.must(p.write(f, "u/good", []byte("good")))
	p.must(p.settle(f, "u/good"))
	for range 2 {
		err := p.settle(f, "t/bad")
		var e *object.Error
		if !errors.As(err, &e) || e.Kind != object.Denied || !strings.Contains(e.Hint, "s3:PutObject") {
			t.Fatalf("a refused upload: %v", err)
		}
	}
	if s := f.Stats(); s.Waiting != 1 || s.Failed < 3 || s.Uploaded != 1 {
		t.Errorf("stats: %+v", s)
	}
	p.proxy.Rule(nil)
	p.must(p.settle(f, "t/bad"))
	same(t, "objects", p.objects(), "t/bad", "u/good")
	p.must(p.write(f, "t/never", []byte("x")))
	p.must(f.Remove(p.at("t/never")))
	p.must(p.settle(f, "t/never"))
	same(t, "objects after one was given up", p.objects(), "t/bad", "u/good")
}

// TestEveryFaultHeals lets every kind of passing fault happen to uploads and downloads.
func TestEveryFaultHeals(t *testing.T) {
	p := newPlace(t)
	f := p.open(nil)
	content := bytes.Repeat([]byte("0123456789"), 30<<10)
	faults := append(slices.Clone(server.StoreFaults), server.StoreSilent)
	for i, fault := range faults {
		name := fmt.Sprintf("t/%d", i)
		once := func(op string) func(server.StoreRequest) server.StoreFault {
			done := false
			return func(r server.StoreRequest) server.StoreFault {
				if done || r.Op != op {
					return ""
				}
				done = true
				return fault
			}
		}
		p.proxy.Rule(once("PUT"))
		p.put(f, name, content)
		p.must(os.Remove(p.at(name)))
		p.proxy.Rule(once("GET"))
		p.want(f, name, string(content))
	}
	_, spoilt := p.proxy.Served()
	for _, fault := range faults {
		if spoilt[fault] != 2 {
			t.Errorf("%s happened %d times", fault, spoilt[fault])
		}
	}
	if got := len(p.objects()); got != len(faults) {
		t.Errorf("%d objects", got)
	}
}

// TestOneFetchAFile: however many want a file at a time, it is fetched once; and its bytes are checked.
func TestOneFetchAFile(t *testing.T) {
	p := newPlace(t)
	content := bytes.Repeat([]byte("x"), 1<<20)
	f := p.open(nil)
	p.put(f, "t/a", content)
	p.must(os.Remove(p.at("t/a")))
	var group sync.WaitGroup
	var failed atomic.Int64
	for range 20 {
		group.Go(func() {
			if got, err := disk.ReadFile(f, p.at("t/a")); err != nil || len(got) != len(content) {
				failed.Add(1)
			}
		})
	}
	group.Wait()
	served, _ := p.proxy.Served()
	if failed.Load() > 0 || served["GET"] != 1 {
		t.Errorf("%d of 20 reads failed; the store was asked %v", failed.Load(), served)
	}
	if s := f.Stats(); s.Fetched != 1 || s.FetchedBytes != int64(len(content)) {
		t.Errorf("stats: %+v", s)
	}
}

// TestUnsoundFetch: what fails its check is fetched once more, and never handed out.
func TestUnsoundFetch(t *testing.T) {
	p := newPlace(t)
	want, wrong := crc32.ChecksumIEEE([]byte("right")), atomic.Int64{}
	f := p.open(func(o *remote.Options) {
		o.Check = func(name string) (io.Writer, func() error) {
			if !strings.HasSuffix(name, "a") {
				return nil, nil
			}
			h := crc32.NewIEEE()
			return h, func() error {
				if wrong.Add(-1) >= 0 || h.Sum32() != want {
					return errors.New("its checksum is another")
				}
				return nil
			}
		}
	})
	p.put(f, "t/a", []byte("right"))
	p.must(os.Remove(p.at("t/a")))
	wrong.Store(2)
	p.want(f, "t/a", "right")
	// What a crash of the machine has left in the cache: the size is right, the content is not.
	p.must(os.WriteFile(p.at("t/a"), []byte("wrong"), 0o644))
	p.must(os.Chtimes(p.at("t/a"), time.Unix(1, 0), time.Unix(1, 0)))
	p.want(f, "t/a", "right")
	p.must(os.Chtimes(p.at("t/a"), time.Unix(1, 0), time.Unix(1, 0)))
	before, _ := p.proxy.Served()
	p.want(f, "t/a", "right")
	if after, _ := p.proxy.Served(); after["GET"] != before["GET"] {
		t.Error("a sound file of before was fetched again")
	}
	wrong.Store(1 << 30)
	p.must(os.Remove(p.at("t/a")))
	if _, err := disk.ReadFile(f, p.at("t/a")); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a file that is never sound: %v", err)
	}
}
