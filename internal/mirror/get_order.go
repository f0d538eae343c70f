package mirror

import (
	"context"
	"fmt"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
)

// batch is some ids that are asked for at once.
type batch struct {
	seq  int
	ids  []vector.Value
	text []string
	mark vector.Value // the position when all batches up to this one are done; NULL: it stays
}

// order says which ids are asked for, and when: those that failed, those that are new, the others from where the last run ended; no more
// than Rate a second.
type order struct {
	g     *getting
	first []vector.Value // failed and new ones
	asked map[string]bool
	seq   int
	began time.Time
	sent  int
}

// begin reads the ids that come first, or those that a person asked for.
func (o *order) begin() error {
	g := o.g
	o.asked = map[string]bool{}
	if len(g.o.IDs) > 0 {
		for _, text := range g.o.IDs {
			v := vector.New(g.idType)
			if !vector.ParseInto(v, text) || !v.Valid[0] {
				return &source.Error{
					Op: "get", Name: g.cfg.Name, Err: fmt.Errorf("the id %q is no %s, as the others are", text, g.idType), Advice: "write it as the table's column id has it",
				}
			}
			o.add(v.At(0))
		}
		return nil
	}
	for _, id := range g.last.Failed {
		o.add(id)
	}
	for _, id := range g.newIDs() {
		o.add(id)
	}
	return nil
}

func (o *order) add(id vector.Value) {
	if text := valueText(id); !o.asked[text] {
		o.asked[text] = true
		o.first = append(o.first, id)
	}
}

// size is how many ids a batch has.
func (o *order) size() int {
	n := o.g.cfg.BatchIDs
	if rate := o.g.cfg.Rate; rate > 0 {
		n = min(n, max(1, int(rate)))
	}
	return n
}

// sample are ids whose documents tell which columns there are.
func (o *order) sample(ctx context.Context, n int) ([]vector.Value, error) {
	out := o.first[:min(n, len(o.first))]
	if len(o.g.o.IDs) > 0 || len(out) >= n {
		return out, nil
	}
	more, err := o.g.m.o.Target.IDs(ctx, o.g.cfg.Table, vector.Value{}, n-len(out))
	return append(out[:len(out):len(out)], more...), err
}

// run sends the batches.
func (o *order) run(ctx context.Context, to chan<- *batch) error {
	o.began = o.g.m.o.Now()
	if err := o.send(ctx, to, o.first, false); err != nil || len(o.g.o.IDs) > 0 {
		return err
	}
	start := o.g.last.After
	if start.Kind != o.g.idType.Kind {
		start = vector.Value{}
	}
	if err := o.page(ctx, to, start, nil); err != nil || start.Kind == vector.Null {
		return err
	}
	end := start
	return o.page(ctx, to, vector.Value{}, &end)
}

// page sends the ids behind after; to the end, or up to last, itself included.
func (o *order) page(ctx context.Context, to chan<- *batch, after vector.Value, last *vector.Value) error {
	for {
		ids, err := o.g.m.o.Target.IDs(ctx, o.g.cfg.Table, after, idsPage)
		if err != nil {
			return err
		}
		n := len(ids)
		if n > 0 {
			after = ids[n-1]
		}
		stop := n < idsPage
		if last != nil {
			for i, id := range ids {
				if id == *last {
					ids, stop = ids[:i+1], true
					break
				}
			}
		}
		if err := o.send(ctx, to, ids, true); err != nil || stop {
			return err
		}
	}
}

// send sends ids in batches. Of those in turn, the ones that were asked for already are left out.
func (o *order) send(ctx context.Context, to chan<- *batch, ids []vector.Value, turn bool) error {
	size := o.size()
	for len(ids) > 0 {
		b := &batch{seq: o.seq}
		n := 0
		for ; n < len(ids) && len(b.ids) < size; n++ {
			text := valueText(ids[n])
			if turn && o.asked[text] {
				continue
			}
			b.ids, b.text = append(b.ids, ids[n]), append(b.text, text)
		}
		if turn {
			b.mark = ids[n-1]
		}
		ids = ids[n:]
		if err := o.pace(ctx, len(b.ids)); err != nil {
			return err
		}
		o.seq++
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pace waits until so many ids more may be asked for.
func (o *order) pace(ctx context.Context, n int) error {
	rate := o.g.cfg.Rate
	if rate <= 0 {
		return ctx.Err()
	}
	if o.began.IsZero() {
		o.began = o.g.m.o.Now()
	}
	due := o.began.Add(time.Duration(float64(o.sent) / rate * float64(time.Second)))
	o.sent += n
	if early := due.Sub(o.g.m.o.Now()); early > 0 {
		return o.g.m.o.Wait(ctx, early)
	}
	return ctx.Err()
}
