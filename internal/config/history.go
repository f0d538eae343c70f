package config

import "time"

// defaultHistory is that of lake.history.
const defaultHistory = Duration(24 * time.Hour)

// mostHistory bounds the snapshots of a table, which each commit writes down anew: one a day.
const mostHistory = Duration(366 * 24 * time.Hour)

// history checks how long old states of the lake stay readable.
func (d *decoder) history(l *Lake) {
	const key = "lake.history"
	switch at := d.lines[key]; {
	case l.History < 0 || l.History > 0 && l.History < Duration(time.Minute):
		d.fault(at, key, "must be at least 1m, or 0 for the last commits alone")
	case l.History > mostHistory:
		d.fault(at, key, "must be at most 366d: for states that are older, keep a backup (firth lake backup)")
	case l.Keep > 0 && l.History > l.Keep && at > 0:
		d.fault(at, key, "must not be longer than lake.keep (%s), or dropped days would stay readable", time.Duration(l.Keep))
	}
}
