package app

import (
	"math"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/warehouse"
)

func TestLoadPace(t *testing.T) {
	var p loadPace
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	look := func(second int, rows, pending int64, through int) loadFigures {
		f := warehouse.Freshness{Source: "production", Warehouse: "local", PendingRows: pending, LoadedThrough: event.NoTime}
		if through >= 0 {
			f.LoadedThrough = start.Add(time.Duration(through) * time.Second).UnixMicro()
		}
		return p.look(f, rows, start.Add(time.Duration(second)*time.Second))
	}
	if f := look(0, 0, 0, -1); f.LagSeconds != 0 || f.RowsASecond != 0 {
		t.Errorf("an empty lake: %+v", f)
	}
	if f := look(1, 500, 500, -1); f.LagSeconds != 0 || f.PendingRows != 500 {
		t.Errorf("rows that have just come: %+v", f)
	}
	if f := look(4, 500, 500, -1); f.LagSeconds != 3 {
		t.Errorf("rows that have waited for 3 s: %+v", f)
	}
	if f := look(5, 1000, 400, 3); f.LagSeconds != 2 || f.LoadedRows != 600 || f.RowsASecond <= 0 {
		t.Errorf("loading goes on: %+v", f)
	}
	for second := 6; second < 30; second++ {
		look(second, int64(1000+(second-5)*100), 400, second-2)
	}
	if f := look(30, 3500, 0, 29); f.LagSeconds != 0 || math.Abs(f.RowsASecond-100) > 400 || f.LoadedRows != 3500 {
		t.Errorf("caught up: %+v", f)
	}
	if f := look(3600, 3600, 100, 29); f.LagSeconds != 0 {
		t.Errorf("the first rows after an hour have not waited for an hour: %+v", f)
	}
	if f := look(3601, 100, 0, 3600); f.LoadedRows != 3500 || f.RowsASecond < 0 {
		t.Errorf("dropped days are no rows loaded: %+v", f)
	}
}
