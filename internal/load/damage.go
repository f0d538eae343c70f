package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firth/internal/lake"
	"firth/internal/warehouse"
)

// Checker is a lake that knows which of its files must not be read. *lake.Reader is one.
type Checker interface {
	// Check lists the damaged ones of the files of one table. Files that it knows cost next to nothing.
	Check(ctx context.Context, files []*lake.File) []lake.Damage
}

// checkEvery is how often the files of a table that does not change are asked after.
const checkEvery = 5 * time.Second

// seenView is what a view of the lake shows.
type seenView struct {
	snap    *lake.Snapshot
	damage  string
	checked time.Time
}

// refresh brings the view to the snapshot: set shows its files, fail shows the damage in the place of an answer. The error is that
// of the damage, or of the view.
func (v *seenView) refresh(ctx context.Context, o *Options, snap *lake.Snapshot, set func([]string) error, fail func(string) error) error {
	same := v.snap != nil && v.snap.ID == snap.ID
	now := o.Now()
	damage := v.damage
	if c, ok := o.Lake.(Checker); ok && (!same || now.Sub(v.checked) >= checkEvery) {
		damage = damageText(c.Check(ctx, snap.Files))
		if ended(ctx) {
			return ctx.Err()
		}
		v.checked = now
	}
	var err error
	switch {
	case same && damage == v.damage:
	case damage != "":
		err = fail(damage)
	default:
		err = set(paths(snap))
	}
	if err != nil {
		return err
	}
	v.snap, v.damage = snap, damage
	if damage != "" {
		return damageError(errors.New(damage), "lake."+snap.Source)
	}
	return nil
}

// damageHint says what to do about a damaged file.
const damageHint = "firth lake verify lists what is damaged; put the files back with firth lake restore and a backup. Until then questions to this source's lake fail rather than leave rows out"

// damageText names the damaged files; "" where there are none.
func damageText(list []lake.Damage) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].Error()
	}
	return fmt.Sprintf("%s; and %d more", list[0].Error(), len(list)-1)
}

func damageError(err error, object string) error {
	return &warehouse.Error{Op: "read", Object: object, Kind: warehouse.Damaged, Err: err, Hint: damageHint}
}

// readError is the error of a read of the lake, with a hint where it is damage.
func readError(err error, source string) error {
	if errors.Is(err, lake.ErrDamaged) {
		return damageError(err, "lake."+source)
	}
	return fmt.Errorf("read the lake: %w", err)
}
