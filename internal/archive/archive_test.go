package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"firth/internal/archive"
)

func write(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, where string) *archive.Archive {
	t.Helper()
	a, err := archive.Open(context.Background(), where)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// walk lists what an archive has: file, line, text, and the fault in brackets.
func walk(t testing.TB, a *archive.Archive, first int) (out []string) {
	t.Helper()
	err := a.Walk(context.Background(), first, func(file int, line int64, text []byte, fault error) error {
		s := fmt.Sprintf("%s:%d %s", a.Name(file), line, text)
		if fault != nil {
			s += " [" + fault.Error() + "]"
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLayouts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "segment-logs/abc/1420070400000/1.gz", gzipped(t, "one\n"))
	write(t, dir, "segment-logs/abc/1419984000000/2.gz", gzipped(t, "two\n\nthree"))
	write(t, dir, "rudder-logs/xyz/2016-02-03/1.json.gz", gzipped(t, "four\r\n"))
	write(t, dir, "rudder-logs/xyz/01-31-2016/1.json.gz", gzipped(t, "five\n"))
	write(t, dir, "other/2017/06/07/x.json", []byte("six\n"))
	write(t, dir, "other/date=2017-06-06/x.json", []byte("seven"))
	write(t, dir, "loose.json", []byte("eight"))
	write(t, dir, ".hidden/x.json", []byte("not read"))
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "other/2018-01-01/x.zst", e.EncodeAll([]byte("nine\nten\n"), nil))
	a := open(t, dir)
	check(t, walk(t, a, 0),
		"loose.json:1 eight",
		"segment-logs/abc/1419984000000/2.gz:1 two", "segment-logs/abc/1419984000000/2.gz:3 three",
		"segment-logs/abc/1420070400000/1.gz:1 one",
		"rudder-logs/xyz/01-31-2016/1.json.gz:1 five", "rudder-logs/xyz/2016-02-03/1.json.gz:1 four",
		"other/date=2017-06-06/x.json:1 seven", "other/2017/06/07/x.json:1 six",
		"other/2018-01-01/x.zst:1 nine", "other/2018-01-01/x.zst:2 ten")
	if a.Read() != a.Bytes() {
		t.Errorf("%d of %d bytes read", a.Read(), a.Bytes())
	}
	if got := walk(t, a, 6); len(got) != 3 {
		t.Errorf("from the seventh file on: %q", got)
	}
	if day := time.UnixMicro(a.Day(1)).UTC().Format(time.DateOnly); day != "2014-12-31" || a.Day(0) != archive.NoDay {
		t.Error(day, a.Day(0))
	}
	if f := a.List()[1].Folders(); !slices.Equal(f, []string{"segment-logs", "abc", "1419984000000"}) {
		t.Error(f)
	}
}

func TestDamageIsSaidInWords(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "line %d of what is not easily packed %x\n", i, i*i*7919)
	}
	whole := gzipped(t, text.String())
	write(t, dir, "a-empty.gz", nil)
	write(t, dir, "b-cut.gz", whole[:len(whole)/2])
	broken := bytes.Clone(whole)
	broken[len(broken)-6] ^= 1
	write(t, dir, "c-sum.gz", broken)
	write(t, dir, "d-head.gz", []byte{0x1f, 0x8b, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9})
	write(t, dir, "e-long.json", append(bytes.Repeat([]byte("x"), archive.MaxLine+5), "\nshort\n"...))
	write(t, dir, "f-good.gz", gzipped(t, "fine\n"))
	faults := map[string]string{}
	var last string
	err := open(t, dir).Walk(t.Context(), 0, func(file int, line int64, text []byte, fault error) error {
		if fault != nil {
			faults[string('a'+rune(file))] = fmt.Sprintf("%d %v", line, fault)
		}
		last = fmt.Sprintf("%d:%d %.10s", file, line, text)
		return nil
	})
	if err != nil || last != "5:1 fine" {
		t.Fatal(err, last)
	}
	for file, part := range map[string]string{"a": "1 the file is empty", "b": "is cut short", "c": "checksum", "d": "breaks off", "e": "1 the line is longer"} {
		if !strings.Contains(faults[file], part) {
			t.Errorf("%s: %q, want %q", file, faults[file], part)
		}
	}
	if len(faults) != 5 {
		t.Error(faults)
	}
}

func TestAFileThatGrows(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.json", []byte("one\ntwo\n"))
	a := open(t, dir)
	before := a.Identity()
	write(t, dir, "a.json", []byte("one\ntwo\nthree\n"))
	check(t, walk(t, a, 0), "a.json:1 one", "a.json:2 two",
		"a.json:3  [the file has changed from 8 to 14 bytes since it was listed: import it again once it is whole]")
	if bytes.Equal(before, open(t, dir).Identity()) {
		t.Error("a file that has grown makes no other archive")
	}
	if err := os.Remove(filepath.Join(dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if err := a.Walk(t.Context(), 0, func(int, int64, []byte, error) error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestWalkEndsWithItsCaller(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.json", bytes.Repeat([]byte("a line\n"), 1_000_000))
	stop := errors.New("enough")
	n := 0
	err := open(t, dir).Walk(t.Context(), 0, func(int, int64, []byte, error) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 10 {
		t.Error(err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	err = open(t, dir).Walk(ctx, 0, func(int, int64, []byte, error) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNothingThere(t *testing.T) {
	if _, err := archive.Open(t.Context(), t.TempDir()); !errors.Is(err, archive.ErrNothing) {
		t.Error(err)
	}
	if _, err := archive.Open(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzWalk reads any bytes as a file: twice the same, and every byte of what is not packed is in some line.
func FuzzWalk(f *testing.F) {
	f.Add([]byte("one\ntwo\n"), 3)
	f.Add(gzipped(f, "one\ntwo\n"), 20)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0}, 2)
	f.Add(append(gzipped(f, "a\n"), gzipped(f, "b")...), 60)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		dir := t.TempDir()
		write(t, dir, "1.gz", content[:max(0, min(cut, len(content)))])
		write(t, dir, "2.gz", content)
		a := open(t, dir)
		first := walk(t, a, 0)
		if again := walk(t, a, 0); !slices.Equal(first, again) {
			t.Fatalf("%q and then %q", first, again)
		}
	})
}
