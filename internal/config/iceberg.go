package config

import "time"

// Iceberg is the type of the warehouse whose tables are Iceberg tables of the lake's own catalog and folder.
const Iceberg = "iceberg"

// icebergEvery is how often such a warehouse is loaded where nothing is said: each load is a commit of every table that it changes.
const icebergEvery = Duration(time.Minute)

// iceberg checks a warehouse that lies in the lake, and fills in its schedule.
func (d *decoder) iceberg(c *Config, name, key string, w *Warehouse) {
	for _, k := range []string{"url", "access_method", "staging", "iam_role", "ca"} {
		if d.given(key + "." + k) {
			d.fault(d.lines[key+"."+k], key+"."+k, "is for warehouses that are servers: the tables of this one lie in the lake, where lake.url says")
		}
	}
	for _, other := range keys(c.Warehouses) {
		if other < name && c.Warehouses[other].Type == Iceberg {
			d.fault(d.lines[key], key, "there is one lake, and %s keeps its tables in it already: add what this one has to that one", other)
		}
	}
	if d.given(key+".every") && !d.given(key+".cron") && w.Every < leastEvery {
		d.fault(d.lines[key+".every"], key+".every", "must be at least 1s; leave it out for 1m")
	} else {
		d.when(key, w.Every, w.Cron, "load")
	}
	if w.Naming != "" {
		d.oneOf(key+".naming", w.Naming, "segment", "rudderstack")
	}
	if !d.given(key+".every") && !d.given(key+".cron") {
		w.Every = icebergEvery
	}
}
