// Package mirror carries rows of a database into a table of a warehouse: copies, and tables that a list and a get keep in step.
package mirror

import (
	"context"
	"encoding/json"
	"io"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Source is one thing that is read: a from, list or get block, with its database. A value serves one run at a time; Scan and Get may be
// called by several goroutines.
type Source interface {
	// Describe asks the database; it fails where what is read does not exist, or must not be read.
	Describe(ctx context.Context) (*source.Info, error)
	// Begin starts a reading: until End all scans see one moment where the database can do that.
	Begin(ctx context.Context) error
	// Ranges cuts the reading into about so many pieces; one zero range where it cannot be cut.
	Ranges(ctx context.Context, pieces int) ([]source.Range, error)
	Scan(ctx context.Context, r source.Request) (source.Rows, error)
	// Get reads the rows of a batch of ids; each carries its id in the column or field Spec.Key (id where that is empty).
	Get(ctx context.Context, ids []vector.Value) (source.Rows, error)
	End() error
	// Check tells what is missing before anything is copied.
	Check(ctx context.Context) []source.Finding
	Close() error
}

// Target is a warehouse that takes mirrors. All of it may be called by several goroutines for different mirrors.
type Target interface {
	Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error)
	Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (Stage, error)
	// IDs lists the ids of the last complete list, in the order of the warehouse: those behind after, at most limit. NULL is before all.
	IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error)
}

// Stage is a staging table. Write may be called by several goroutines.
type Stage interface {
	// Write stores rows, and the progress with them in the same transaction. The columns are those of StageOptions and of AddColumns, in any
	// order. Values that the warehouse cannot hold are returned as rejects, with the row of the chunk: their cells are stored as NULL, and
	// the caller tells them back in Publication.Rejects.
	Write(ctx context.Context, c *vector.Chunk, progress json.RawMessage) ([]vector.Reject, error)
	// AddColumns adds columns that were not known before; of one that exists it widens the type, without loss.
	AddColumns(ctx context.Context, columns []vector.Column) error
	// Publish makes the rows visible and ends the stage. When it returns the rows survive whatever happens to the process.
	Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error)
	// Discard drops the stage.
	Discard(ctx context.Context) error
}

// RawSource is a Source that can hand rows out as PostgreSQL's binary COPY format: header, rows, trailer.
type RawSource interface {
	// RawColumns are the types in which ScanRaw writes, those of Describe in SQL of PostgreSQL; ok is false where it cannot.
	RawColumns(ctx context.Context) (types []string, ok bool)
	ScanRaw(ctx context.Context, r source.Request, w io.Writer) error
}

// RawStage is a Stage that takes such rows as they are. The progress is asked for when they are all in.
type RawStage interface {
	WriteRaw(ctx context.Context, columns []string, r io.Reader, progress func() (json.RawMessage, error)) (rows int64, err error)
}

// RawTyper is a RawStage that tells the types of its columns in SQL of PostgreSQL, as RawColumns does: rows are only passed through where
// they are the same. Of one that does not tell, columns of JSON are not.
type RawTyper interface {
	RawType(c vector.Column) string
}

// ParentStage is a Stage whose Publish publishes Publication.Children in the transaction of the rows.
type ParentStage interface {
	PublishesChildren()
}

// KeyStage is a Stage that takes the complete keys apart from the rows, for an upsert with DeleteMissing that reads only what is new.
type KeyStage interface {
	// WriteKeys stores keys that the source has, in the columns of StageOptions.Key; it may be called often, beside Write. PublishUpsert with
	// DeleteMissing then goes by these keys and not by the staged rows. They end with the stage, and are not gone on with.
	WriteKeys(ctx context.Context, c *vector.Chunk) error
}
