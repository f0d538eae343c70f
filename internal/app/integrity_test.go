package app

import (
	"testing"

	"firth/internal/lake"
	"firth/internal/state"
)

func TestDamagedFilesAreNamed(t *testing.T) {
	if c := integrity(nil); c != (state.Component{Name: "integrity", State: state.OK}) {
		t.Errorf("%+v", c)
	}
	one, two := lake.Damage{Path: "/d/a.parquet", Reason: "spoiled"}, lake.Damage{Path: "/d/b.parquet", Reason: "missing"}
	for n, want := range map[int]string{1: one.Error(), 2: one.Error() + "; and 1 more: firth lake verify names them"} {
		c := integrity([]lake.Damage{one, two}[:n])
		if c.State != state.Degraded || c.Error != want || c.Hint == "" {
			t.Errorf("%d: %+v", n, c)
		}
	}
}
