package mirror

import (
	"fmt"
	"slices"
	"strings"

	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
)

// drift reconciles the columns of the source with those of the table.
type drift struct {
	m       *Mirror
	r       *run
	prior   []vector.Column // of the table; none: there is no table
	policy  string
	replace bool
	same    bool // the settings are those with which the table was published last
	changes []string
}

// goneMark ends the source's type of a column that the source has no longer.
const goneMark = " (gone)"

// settle gives the columns that are staged: names stay what they were, types are widened or stay.
func (d *drift) settle(want []desired) ([]column, error) {
	names := d.m.namer(d.prior)
	var out []column
	kept := map[string]bool{}
	for i := range want {
		w := &want[i]
		as := d.m.o.Config.rule(w.Path).As
		p := d.was(w.Path, as)
		if p == nil && len(d.prior) > 0 {
			if d.policy == DriftReport {
				d.change("column %s (%s) is new at the source and left out", w.Path, w.Type)
				continue
			}
			d.change("column %s (%s) is new at the source: added", w.Path, w.Type)
		}
		name, collided := as, false
		if name == "" {
			name, collided = names.Name(w.Path)
		}
		if d.m.o.Lower {
			name = strings.ToLower(name)
		}
		if collided && p == nil {
			d.r.notice("column %s is called %s: another has its name", w.Path, name)
		}
		if p != nil {
			kept[p.Name] = true
			w.Type = d.retype(p, w)
		}
		w.Name = name
		out = append(out, w.column)
	}
	for _, p := range d.prior {
		if kept[p.Name] {
			continue
		}
		if d.replace && d.policy != DriftReport {
			d.change("column %s is gone at the source: it goes from the table", p.Name)
			continue
		}
		if !strings.HasSuffix(p.Source, goneMark) {
			d.change("column %s is gone at the source: NULL from now on", p.Name)
			p.Source += goneMark // said once
		}
		out = append(out, column{Column: p, from: -1, mask: mask{first: -1}})
	}
	return out, d.verdict()
}

// was is the table's column of a path; nil: it has none, or under a name that the settings no longer want.
func (d *drift) was(path, as string) *vector.Column {
	at := -1
	for i, c := range d.prior {
		// One that is no longer filled may stand beside it, under another name.
		if c.Path == path && (as == "" || strings.EqualFold(as, c.Name)) && (at < 0 || d.prior[at].Source == "") {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	return &d.prior[at]
}

// retype is the type that a column is staged in which the table has already.
func (d *drift) retype(p *vector.Column, w *desired) vector.Type {
	if w.narrow && p.Source == w.Source && !p.Type.Equal(w.Type) {
		if d.policy == DriftReport {
			d.change("the values of column %s need %s now and it stays %s: values that do not fit are rejected", w.Path, w.Type, p.Type)
			return p.Type
		}
		d.change("column %s becomes %s, as its values need; it was %s", w.Path, w.Type, p.Type)
		return w.Type
	}
	if p.Type.Equal(w.Type) || d.same && p.Source == w.Source && !d.replace {
		return p.Type // decided before
	}
	switch {
	case d.policy == DriftReport:
		d.change("column %s is %s at the source now and stays %s: values that do not fit are rejected", w.Path, w.Type, p.Type)
		return p.Type
	case d.replace, vector.Widens(p.Type, w.Type):
		d.change("column %s becomes %s; it was %s", w.Path, w.Type, p.Type)
		return w.Type
	case vector.Widens(w.Type, p.Type):
		d.change("column %s is %s at the source now and stays %s, which holds all of it", w.Path, w.Type, p.Type)
		return p.Type
	}
	if t, lossless := vector.Join(p.Type, w.Type); lossless {
		d.change("column %s becomes %s, which holds both %s and %s", w.Path, t, p.Type, w.Type)
		return t
	}
	d.change("column %s is %s at the source now and stays %s: values that do not fit are rejected; firth sync --full does not change that, "+
		"another name (as:) would", w.Path, w.Type, p.Type)
	return p.Type
}

func (d *drift) change(format string, args ...any) {
	d.changes = append(d.changes, fmt.Sprintf(format, args...))
}

// verdict tells the changes, or fails for them.
func (d *drift) verdict() error {
	if d.policy == DriftFreeze && len(d.changes) > 0 {
		return &source.Error{
			Op: "read", Name: d.m.o.Config.Name,
			Err:    fmt.Errorf("the source has changed and drift is freeze: %s", strings.Join(d.changes, "; ")),
			Advice: "nothing was written; set drift: evolve for one run, or name the columns that are wanted",
		}
	}
	for _, c := range d.changes {
		d.r.notice("%s", c)
	}
	return nil
}

// namer makes one that knows the names given by hand and those of before.
func (m *Mirror) namer(prior []vector.Column) *infer.Namer {
	taken := m.o.Config.taken()
	for _, r := range m.o.Config.Columns {
		if r.As != "" {
			taken = append(taken, r.As)
		}
	}
	n := infer.NewNamer(m.o.Lower, taken...)
	for _, p := range prior {
		if p.Path != "" && !slices.Contains(taken, p.Name) {
			n.Restore(p.Path, p.Name)
		}
	}
	return n
}
