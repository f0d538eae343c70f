package iceberg

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// An orphan is a file that another engine wrote into a table's folder for a commit that was refused: it is told by its name, which is none that
// Firth gives, by its ending, and by that nothing names it. It stays for longer than what Firth itself lets go of: whoever wrote it may be about
// to commit it. What is neither is somebody else's, and left alone.

// leastOrphans is how long orphans stay where nothing else is said.
const leastOrphans = 24 * time.Hour

var (
	ownName = regexp.MustCompile(`^([0-9a-f]{12,}-[0-9a-f]{16}-\d{5,}\.parquet|\d{5,}-[0-9a-f-]{36}(\.gz)?\.metadata\.json|[0-9a-f-]{32,36}-m\d+\.avro|snap-\d+-\d+-[0-9a-f-]{32,36}\.avro)(\.tmp)?$`)
	// orphanName matches what Spark, Trino, PyIceberg and DuckDB leave: data and delete files, deletion vectors, statistics, manifests, metadata.
	orphanName = regexp.MustCompile(`^[^.].*\.(parquet|orc|avro|puffin|stats|metadata\.json(\.gz)?)$`)
)

// grace is how long a file that nothing names stays; false: it is left alone.
func (d *DB) grace(path string) (time.Duration, bool) {
	name := filepath.Base(path)
	if ownName.MatchString(name) {
		return d.o.Grace, true
	}
	if strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".crc") { // Hadoop's checksum beside a file on a local disk
		name = strings.TrimSuffix(name[1:], ".crc")
	}
	return max(d.o.Orphans, d.o.Grace), orphanName.MatchString(name)
}
