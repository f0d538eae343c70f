package redis

import (
	"context"
	"errors"
	"strings"

	"firth/internal/source"
)

// Check tells whether a server can be reached and what it is.
func Check(ctx context.Context, url string, o source.Options) []source.Finding {
	t := &Table{o: o}
	if err := t.parseURL(url); err != nil {
		return []source.Finding{finding("address", "", err)}
	}
	defer t.Close() //nolint:errcheck // the answer is there
	c, err := t.connected(ctx)
	if err != nil {
		return []source.Finding{finding("connection", "", err)}
	}
	found := "Redis " + c.version
	if c.role != "" {
		found += ", " + c.role
	}
	if c.cluster == nil {
		return []source.Finding{finding("connection", strings.TrimSpace(found), nil)}
	}
	_, _, err = c.masters(ctx)
	return []source.Finding{finding("connection", found+" of a cluster", t.fail("read", err))}
}

// Check sends each command that the reading needs once, to a key that is not there, and tells which right is missing.
func (t *Table) Check(ctx context.Context) []source.Finding {
	c, err := t.connected(ctx)
	if err != nil {
		return []source.Finding{finding("connection", "", err)}
	}
	var out []source.Finding
	probe := func(what string, key string, args ...any) {
		p := newPipe()
		p.add(&key, args...)
		err := p.run(ctx, t, c)
		if err == nil {
			if text, bad := errorReply(p.reply(0)); bad && code(string(text)) == "WRONGTYPE" {
				err = t.describeKey(ctx, c, "read", key, text)
			} else if bad {
				err = t.keyError("read", key, text)
			}
		}
		out = append(out, finding(what, "may be read", err))
	}
	if tpl, ok := t.scanned(); ok && t.spec.Key == "" {
		probe("keys "+tpl.text, "", "SCAN", "0", "MATCH", tpl.glob(), "COUNT", 1)
	}
	for _, f := range append([]fieldRead{{kind: t.kind, at: t.at}}, t.fields...) {
		if f.kind == nil {
			continue
		}
		key := string(f.at.append(nil, "firth:check"))
		if len(f.at.parts) == 0 {
			key = f.at.text
		}
		what := f.kind.name + " " + f.at.text
		p := newPipe()
		f.kind.ask(p, &key, nil)
		probe(what, key, p.calls[0].args...)
		if f.kind.size != "" {
			probe(what, key, f.kind.size, &key)
		}
	}
	return merge(out)
}

// merge keeps one finding of each thing: the first that is bad, else the first.
func merge(all []source.Finding) []source.Finding {
	var out []source.Finding
	at := map[string]int{}
	for _, f := range all {
		i, ok := at[f.What]
		switch {
		case !ok:
			at[f.What] = len(out)
			out = append(out, f)
		case out[i].OK && !f.OK:
			out[i] = f
		}
	}
	return out
}

func finding(what, found string, err error) source.Finding {
	if err == nil {
		return source.Finding{What: what, OK: true, Found: found}
	}
	f := source.Finding{What: what, Found: err.Error()}
	if e := (*source.Error)(nil); errors.As(err, &e) {
		f.Found, f.Hint = e.Err.Error(), e.Advice
	}
	return f
}
