package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver of the source

	"firth/test/rig"
)

// Each secret stands in a place from which it must not come further; what may be seen is here to show that the search finds.
const (
	mayBeSeen  = "QXseen7f3a91c2be"
	dropped    = "QXdropped55e0b7d1"
	excluded   = "QXexcluded90ad3c"
	hashed     = "QXhashed4b1c6f02"
	cutShort   = "QXtruncated8d27e3"
	nested     = "QXnested1f9e44aa"
	inArray    = "QXarray6c0d72b8"
	hashedDeep = "QXdeep33b8f5d0"
	unfit      = "QXunfit7a4e1c99"
)

const secretConfig = `databases:
  shop: { type: sqlite, url: %q }
mirrors:
  people:
    from: { database: shop, table: people }
    columns: [id, name, {name: mail, mask: hash}, {name: phone, mask: truncate:2}, {name: card, mask: drop}, {name: age, mask: truncate:1}]
    exclude: [password]
    into: { schema: app }
    salt: pepper
    mode: upsert
    key: id
  documents:
    from: { exec: [cat, %q] }
    columns: [id, name, profile, {name: profile.mail, mask: hash}, list]
    exclude: [profile.token, list.token]
    into: { schema: app }
    salt: pepper
`

// TestSecretsStayAtTheSource looks for values that were left out or masked in every byte that a copy leaves behind, also one that was killed,
// and in all that is printed.
func TestSecretsStayAtTheSource(t *testing.T) {
	dir := t.TempDir()
	source, lines := filepath.Join(dir, "source", "shop.db"), filepath.Join(dir, "source", "lines")
	if err := os.Mkdir(filepath.Dir(source), 0o755); err != nil {
		t.Fatal(err)
	}
	fillSecrets(t, source, lines)
	config := filepath.Join(dir, "firth.yaml")
	data := filepath.Join(dir, "data")
	text := fmt.Sprintf("data: %q\n", data) + fmt.Sprintf(secretConfig, source, lines)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	run := func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, rig.Binary(t), append(args, "-c", config)...)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
		cmd.Stdout, cmd.Stderr = &printed, &printed
		return cmd.Run()
	}
	for _, pause := range []time.Duration{150, 250, 350, 450} { // cut off wherever it is, with rows staged or not
		ctx, cancel := context.WithTimeout(t.Context(), pause*time.Millisecond)
		_ = run(ctx, "sync") // killed
		cancel()
		search(t, data, nil)
	}
	if err := run(t.Context(), "sync"); err != nil {
		t.Fatalf("%v\n%s", err, printed.String())
	}
	for _, q := range []string{
		"SELECT mail, phone FROM app.people WHERE id = 1", "SELECT profile_mail FROM app.documents WHERE id = 1",
		"FROM app.people__rejects", "SELECT name, notices, error FROM firth.runs WHERE kind = 'mirror'",
	} {
		if err := run(t.Context(), "query", q); err != nil {
			t.Fatalf("%s: %v\n%s", q, err, printed.String())
		}
	}
	if want := hash("pepper" + hashed + "1"); !strings.Contains(printed.String(), want) {
		t.Errorf("the hash of the mail, %s, was not printed:\n%s", want, printed.String())
	}
	search(t, data, printed.Bytes())
	if !contains(t, data, mayBeSeen) {
		t.Error("the search does not even find what may be seen")
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func fillSecrets(t *testing.T, source, lines string) {
	t.Helper()
	db, err := sql.Open("sqlite", source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var b strings.Builder
	b.WriteString("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, phone TEXT, card TEXT, password TEXT, age INTEGER); BEGIN;")
	var out strings.Builder
	for i := 1; i <= 14_000; i++ {
		age := fmt.Sprint(i % 90)
		if i == 7000 { // further in than a look at the ends of the table sees: a value that the column does not fit
			age = "'" + unfit + "'"
		}
		fmt.Fprintf(&b, "INSERT INTO people VALUES (%d, '%s%d', '%s%d', '%s%d', '%s%d', '%s%d', %s);", i, mayBeSeen, i, hashed, i, cutShort, i, dropped, i, excluded, i, age)
		fmt.Fprintf(&out, `{"id":%d,"name":"%s%d","profile":{"mail":"%s%d","token":"%s%d","at":1},"list":[{"token":"%s%d","n":%d}],"other":"%s%d"}`+"\n",
			i, mayBeSeen, i, hashedDeep, i, nested, i, inArray, i, i, dropped, i)
	}
	b.WriteString("COMMIT;")
	if _, err := db.ExecContext(t.Context(), b.String()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lines, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// search fails the test where a secret is in a file of the folder or in a text.
func search(t *testing.T, dir string, text []byte) {
	t.Helper()
	for _, secret := range []string{dropped, excluded, hashed, cutShort, nested, inArray, hashedDeep, unfit} {
		if contains(t, dir, secret) {
			t.Errorf("%s is in the data folder", secret)
		}
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s is printed", secret)
		}
	}
}

func contains(t *testing.T, dir, what string) bool {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte(what)) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	slices.Sort(found)
	return len(found) > 0
}
