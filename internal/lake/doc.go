// Package lake keeps events as open Iceberg tables on local disk: one table a source, partitioned by the day of ts, each file
// sorted by (event, ts), and one table of dead letters.
//
// A [Lake] has one [Writer], the only committer of its tables: it empties the journal, drops calls that were seen before,
// writes Parquet files and commits them together with the position in the journal that the table has reached. A [Reader]
// may live in another process; it sees whole commits and nothing else. The formats on disk are written down in
// docs/lake-format.md.
package lake
