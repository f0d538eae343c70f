package lake

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each state that a table was in is read as it was, by its id and by a time, also after a merge put another file in the place of all.
func TestSnapshotAt(t *testing.T) {
	d := newTended(newEnv(t), 0)
	d.mustOpen()
	defer d.close()
	c := newCorpus(62, testStart)
	for range 9 {
		d.pass(10 * time.Second)
		d.mustFlush("production", c.call())
	}
	d.mustMerge(MergeSmall)
	r, err := OpenReader(t.Context(), d.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	history, err := r.History(context.Background(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if len(history) < 10 {
		t.Fatalf("%d snapshots", len(history))
	}
	for _, h := range history {
		snap, err := r.SnapshotAt(context.Background(), "production", At{ID: h.ID})
		if err != nil || snap.Rows != h.Rows || len(snap.Files) != int(h.Files) {
			t.Fatalf("snapshot %d: %+v, %v, want %d rows", h.ID, snap, err, h.Rows)
		}
		by, err := r.SnapshotAt(context.Background(), "production", At{Time: h.Time})
		if err != nil || by.ID != h.ID {
			t.Fatalf("as of %s: %+v, %v, want %d", h.Time, by, err, h.ID)
		}
	}
	_, err = r.SnapshotAt(context.Background(), "production", At{Time: history[len(history)-1].Time.Add(-time.Millisecond)})
	var none *NoSnapshot
	if !errors.Is(err, ErrNoSnapshot) || !errors.As(err, &none) || len(none.There) != nearest || !strings.Contains(none.Hint(), "the oldest snapshots are") {
		t.Errorf("before the first: %v", err)
	}
	if _, err = r.SnapshotAt(context.Background(), "production", At{ID: 7}); !errors.As(err, &none) || !strings.Contains(none.Hint(), "the newest snapshots are") {
		t.Errorf("an unknown id: %v", err)
	}
	if _, err = r.SnapshotAt(context.Background(), "nobody", At{ID: 7}); !errors.Is(err, ErrNoTable) {
		t.Errorf("an unknown table: %v", err)
	}
}
