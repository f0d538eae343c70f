package purge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
)

// two are sources of which each purge may take one.
const two = `
sources: { production: { write_key: k }, staging: { write_key: l } }
lake: { flush: { every: 100ms }, grace: 4s }
query: { deadline: 3s }
`

// call is a call as JSON.
func call(id, user, more string) string {
	return fmt.Sprintf(`{"type":"track","event":"Seen","messageId":%q,"userId":%q%s}`, id, user, more)
}

// commands is a server whose purges are tried flag by flag.
type commands struct {
	*rig.Server
	t *testing.T
}

func (c *commands) send(key string, calls ...string) {
	c.t.Helper()
	status, text, err := c.Post(c.t.Context(), "/v1/batch", key, []byte(`{"batch":[`+strings.Join(calls, ",")+`]}`))
	if err != nil || status != 200 {
		c.t.Fatalf("send: %d, %v: %s", status, err, text)
	}
}

// has waits until a source has exactly these message ids.
func (c *commands) has(source string, ids ...string) {
	c.t.Helper()
	want := strings.Join(ids, " ")
	c.Eventually(time.Minute, want+" in "+source, func() error {
		for _, relation := range []string{"lake." + source, source + ".tracks"} {
			column := "message_id"
			if !strings.HasPrefix(relation, "lake.") {
				column = "id"
			}
			got, err := c.SQL("SELECT coalesce(string_agg(" + column + ", ' ' ORDER BY " + column + "), '') FROM " + relation)
			if err != nil {
				return err
			}
			if text := fmt.Sprint(got.Rows[0][0]); text != want {
				return fmt.Errorf("%s has %q", relation, text)
			}
		}
		return nil
	})
}

// purge runs the command and reads its JSON.
func (c *commands) purge(into any, args ...string) {
	c.t.Helper()
	out, err := c.Run(append([]string{"lake", "purge", "-o", "json"}, args...)...)
	if err != nil {
		c.t.Fatalf("purge %v: %v", args, err)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		c.t.Fatalf("purge %v: %v: %s", args, err, out)
	}
}

// removed is what a receipt says was removed of a table.
func (r *receipt) removed(table string) (rows, mentions int64) {
	for _, t := range r.Lake.Tables {
		if t.Table == table {
			return t.Removed, t.Mentions
		}
	}
	return 0, 0
}

func (r *receipt) notes(words string) bool {
	return strings.Contains(strings.Join(r.Notices, "\n"), words)
}

// Each flag does what it says, and the receipt tells it.
func TestPurgeFlags(t *testing.T) {
	t.Parallel()
	c := &commands{rig.New(t, two), t}
	c.Start()
	c.send("k", call("a1", "ann", ""), call("a2", "ann", ""), call("b1", "bob", `,"properties":{"friend":"ann"}`), call("b2", "bob", `,"properties":{"import":1}`), call("c1", "cleo", ""))
	c.send("l", call("s1", "ann", ""), call("s2", "bob", ""))
	c.has("production", "a1", "a2", "b1", "b2", "c1")
	c.has("staging", "s1", "s2")

	var look struct {
		Tables []struct {
			Table          string
			Rows, Mentions int64
			List           []struct{ Rows, Of int64 }
		}
	}
	c.purge(&look, "--user", "ann", "--dry-run", "--source", "production")
	for _, table := range look.Tables {
		if table.Table == "staging" || table.Table == "production" && (table.Rows != 2 || table.Mentions != 1 || len(table.List) == 0) {
			t.Errorf("a dry run finds %+v", table)
		}
	}
	c.has("production", "a1", "a2", "b1", "b2", "c1")

	c.where()
	c.noSuppress()
	c.source()
}

// where: rows go whoever's they are, and nobody is suppressed.
func (c *commands) where() {
	c.t.Helper()
	var r receipt
	c.purge(&r, "--where", "properties->>'import' = '1'", "--source", "production")
	if rows, _ := r.removed("production"); rows != 1 || r.Step != "done" || len(r.Suppressed) != 0 || !r.notes("nobody is suppressed") {
		c.t.Errorf("the receipt of --where is %+v", r)
	}
	c.has("production", "a1", "a2", "b1", "c1")
	c.send("k", call("b3", "bob", ""))
	c.has("production", "a1", "a2", "b1", "b3", "c1")
	if _, err := c.Run("lake", "purge", "--where", "no_such_column = 'Robert'"); err == nil || !strings.Contains(err.Error(), "cannot be evaluated") {
		c.t.Errorf("a condition that cannot be evaluated: %v", err)
	}
	if strings.Contains(c.Log(0), "Robert") {
		c.t.Error("the log has a condition, which may name somebody")
	}
}

// noSuppress: what came before goes, with the mentions, and what comes later is stored.
func (c *commands) noSuppress() {
	c.t.Helper()
	var r receipt
	c.purge(&r, "--user", "ann", "--mentions", "--no-suppress", "--source", "production")
	if rows, mentions := r.removed("production"); rows != 3 || mentions != 1 || len(r.Suppressed) != 0 || len(r.Who) != 1 || !r.notes("calls that come later are stored") || r.notes("leaves out who is suppressed") {
		c.t.Errorf("the receipt of --no-suppress is %+v", r)
	}
	c.has("production", "b3", "c1")
	c.has("staging", "s1", "s2")
	c.send("k", call("a4", "ann", ""))
	c.has("production", "a4", "b3", "c1")
}

// source: a person is suppressed in one source, is listed, and is let in again.
func (c *commands) source() {
	c.t.Helper()
	var r, again receipt
	c.purge(&r, "--user", "ann", "--source", "staging", "--grace", "0s")
	if rows, _ := r.removed("staging"); rows != 1 || len(r.Suppressed) != 1 {
		c.t.Errorf("the receipt of --source is %+v", r)
	}
	c.send("l", call("s3", "ann", ""), call("s4", "bob", ""))
	c.send("k", call("a5", "ann", ""))
	c.has("staging", "s2", "s4")
	c.has("production", "a4", "a5", "b3", "c1")

	var list struct {
		Suppressed []struct{ Kind, Hash, Source string }
		Purges     []struct{ ID, Step string }
	}
	c.purge(&list, "--list")
	if len(list.Purges) != 3 || len(list.Suppressed) != 1 || list.Suppressed[0].Source != "staging" || list.Suppressed[0].Hash != r.Suppressed[0].Hash {
		c.t.Fatalf("--list has %+v", list)
	}
	c.purge(&again, "--receipt", r.ID)
	if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", r) {
		c.t.Errorf("--receipt has %+v, the purge had %+v", again, r)
	}
	var lifted struct{ Lifted string }
	c.purge(&lifted, "--lift", list.Suppressed[0].Hash)
	c.send("l", call("s5", "ann", ""))
	c.has("staging", "s2", "s4", "s5")
	if _, err := c.Run("lake", "purge", "--lift", list.Suppressed[0].Hash); err == nil {
		c.t.Error("a person is let in twice")
	}
	if _, err := c.Run("lake", "purge", "--list", "--user", "ann"); err == nil {
		c.t.Error("--list beside --user is taken")
	}
}
