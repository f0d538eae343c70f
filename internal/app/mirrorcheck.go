package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/name"
	"firth/internal/source"
)

// checkMirrors looks at all databases and at what each mirror reads, at once. One that does not answer in time holds up nothing else.
func checkMirrors(ctx context.Context, cfg *config.Config, kinds map[string]sourceKind, patience time.Duration) []Finding {
	d := newDatabases(cfg, kinds, slog.New(slog.DiscardHandler))
	var looks []func() []Finding
	for _, name := range cfg.DatabaseNames() {
		looks = append(looks, func() []Finding { return d.checkDatabase(ctx, name, patience) })
	}
	for _, name := range cfg.MirrorNames() {
		looks = append(looks, func() []Finding { return d.checkMirror(ctx, name, patience) })
	}
	found := make([][]Finding, len(looks))
	var group errgroup.Group
	group.SetLimit(16)
	for i, look := range looks {
		group.Go(func() error { found[i] = look(); return nil })
	}
	if err := errors.Join(group.Wait(), d.close()); err != nil {
		found = append(found, []Finding{{What: "databases", Found: err.Error()}})
	}
	return toldOnce(slices.Concat(found...))
}

// toldOnce leaves out what mirrors say of a database that says so itself.
func toldOnce(list []Finding) []Finding {
	var told []string
	for _, f := range list {
		if f.Database != "" && !f.OK {
			told = append(told, f.Found)
		}
	}
	// A mirror says in front of it what it was about to do.
	again := func(f Finding) bool {
		return slices.ContainsFunc(told, func(text string) bool { return f.Found == text || strings.HasSuffix(f.Found, ": "+text) })
	}
	return slices.DeleteFunc(list, func(f Finding) bool { return f.Mirror != "" && !f.OK && again(f) })
}

// checkDatabase looks at a database as such.
func (d *databases) checkDatabase(ctx context.Context, name string, patience time.Duration) []Finding {
	label := func(f Finding) Finding { f.Database = name; return f }
	db := d.cfg.Databases[name]
	k, ok := d.kinds[db.Type]
	if !ok {
		return []Finding{label(Finding{What: "type", Found: "reading " + db.Type + " is not in this build", Hint: "install a build that has it: firth version"})}
	}
	o, err := d.options(name)
	if err != nil {
		return []Finding{label(Finding{What: "settings", Found: err.Error(), Hint: hintOf(err)})}
	}
	if k.check == nil {
		return nil
	}
	return inTime(ctx, patience, label, func(ctx context.Context) []source.Finding { return k.check(ctx, string(db.URL), o) })
}

// checkMirror looks at what the blocks of a mirror read.
func (d *databases) checkMirror(ctx context.Context, name string, patience time.Duration) []Finding {
	m := d.cfg.Mirrors[name]
	c := mirrorConfig(d.cfg, name)
	blocks := m.Blocks()
	var out []Finding
	for _, role := range []string{"from", "list", "get"} {
		b := blocks[role]
		if b == nil {
			continue
		}
		label := func(f Finding) Finding { f.Mirror, f.What = name, role+": "+f.What; return f }
		out = append(out, inTime(ctx, patience, label, func(ctx context.Context) []source.Finding {
			s, err := d.open(ctx, b, blockSpec(d.cfg, &m, &c, b), 1)
			if err != nil {
				return []source.Finding{{What: "open", Found: err.Error(), Hint: hintOf(err)}}
			}
			defer s.Close() //nolint:errcheck // what was found is told
			found := s.Check(ctx)
			if role == "from" && allFound(found) {
				found = append(found, missingKeys(ctx, s, &m)...)
			}
			return found
		})...)
		if notes := maskNotes(&m, role); notes != nil {
			out = append(out, label(*notes))
		}
	}
	return out
}

func allFound(list []source.Finding) bool {
	return !slices.ContainsFunc(list, func(f source.Finding) bool { return !f.OK })
}

// missingKeys names columns of the key that the source does not have. What is not described (documents) may have them.
func missingKeys(ctx context.Context, s mirror.Source, m *config.Mirror) []source.Finding {
	info, err := s.Describe(ctx)
	if err != nil || info.Columns == nil {
		return nil
	}
	var names []string
	for _, c := range info.Columns {
		names = append(names, c.Path)
	}
	var out []source.Finding
	for _, k := range m.Key {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, k) }) {
			continue
		}
		f := source.Finding{What: "key", Found: "there is no column " + k, Hint: "its columns are " + strings.Join(names, ", ")}
		if near := name.Nearest(k, names); near != "" {
			f.Hint = "did you mean " + near + "?"
		}
		out = append(out, f)
	}
	return out
}

// maskNotes says that hashes without a salt can be found by hashing guesses.
func maskNotes(m *config.Mirror, role string) *Finding {
	hashed := slices.ContainsFunc(m.Columns, func(c config.Column) bool { return c.Mask == "hash" })
	if role == "list" || !hashed || m.Salt != "" {
		return nil
	}
	return &Finding{What: "mask", OK: true, Found: "values are hashed without a salt: whoever can guess one can find its hash", Hint: "salt: env:NAME, a long random text that stays the same"}
}

// inTime is what a check finds, or that nothing came in time.
func inTime(ctx context.Context, patience time.Duration, label func(Finding) Finding, check func(context.Context) []source.Finding) []Finding {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A client that does not heed its context is left to itself: the command ends without it.
	answer := make(chan []source.Finding, 1)
	go func() { answer <- check(limited) }()
	var list []source.Finding
	came := true
	select {
	case list = <-answer:
	case <-time.After(patience + patience/5):
		came = false
	}
	var out []Finding
	for _, f := range list {
		out = append(out, label(Finding{What: f.What, OK: f.OK, Found: f.Found, Hint: f.Hint}))
	}
	if !came || errors.Is(limited.Err(), context.DeadlineExceeded) && allWell(out) {
		out = append(out, label(Finding{What: "connection", Found: fmt.Sprintf("no answer within %s", shortSpan(patience)),
			Hint: "is the server up, and do the host, the port and the firewall in between let this machine through?"}))
	}
	return out
}
