package warehouse

import (
	"encoding/json"
	"errors"
	"time"

	"firth/internal/vector"
)

// A mirror's table is written in two steps, whatever the mode. Rows go into a staging table of the same schema, in as many
// transactions as suits, each with the progress that it stands for; readers do not look there. Then one transaction publishes them: the
// table, its rejects, and the mirror's state change together. So readers see the old table or the new one, and a process that is killed
// goes on with what is staged or begins anew.

// Names that belong to a mirror's table.
const (
	// StagePrefix begins the name of a staging table. Listings leave out what begins so.
	StagePrefix = "_firth_stage_"
	// IDsPrefix begins the name of the table that holds the ids of a list, in the column id.
	IDsPrefix = "_firth_ids_"
	// RejectsSuffix ends the name of the table of values that did not fit.
	RejectsSuffix = "__rejects"
	// SyncedAt is when a row of a list/get table was last written: it changes when the row does.
	SyncedAt = "_firth_synced_at"
	// ValidFrom and ValidTo bound the time in which a row of a table with history was so; ValidTo is NULL for the present.
	ValidFrom = "_valid_from"
	ValidTo   = "_valid_to"
)

// MirrorTable names a mirror and where it lives.
type MirrorTable struct {
	Name   string // as configured: the key of the bookkeeping
	Schema string
	Table  string
}

// MirrorState is what a warehouse holds of a mirror.
type MirrorState struct {
	// Columns of the published table as they were published last; nil: there is none, or the table is gone.
	Columns []vector.Column
	// Rows of the table, an estimate where counting is dear.
	Rows int64
	// State is what was published with the rows; nil: nothing was. It stays when the table is gone.
	State json.RawMessage
	// Staged is what an earlier run left unfinished; nil: nothing.
	Staged *Staged
}

// Staged is an unfinished staging table.
type Staged struct {
	Run      string // of StageOptions
	Columns  []vector.Column
	Progress json.RawMessage // of the last write
	Rows     int64
}

// StageOptions say what is staged.
type StageOptions struct {
	// Run identifies what is staged: settings, columns and ranges. Resume goes on with what is staged under the same Run; without it,
	// or under another, the staging table is made anew.
	Run    string
	Resume bool
	// Columns of the rows; for a get table without SyncedAt, and for a history without the times: publishing adds them.
	Columns []vector.Column
	// Key are the columns that will be looked for when it is published; they may want an index or a bounded type.
	Key []string
}

// PublishMode says what becomes of the staged rows.
type PublishMode uint8

// The modes of publishing.
const (
	// PublishReplace: the table holds the staged rows and nothing else. Indexes, views, grants and comments that users made stay.
	PublishReplace PublishMode = iota + 1
	// PublishAppend: the staged rows are added. Those that the table already has among its rows with Cursor >= From are left out: each as
	// often as it is there, compared as a whole, or by Key where there is one. So ties and late rows come once.
	PublishAppend
	// PublishUpsert: by Key. A staged row replaces the one of the same key where it differs; of staged rows with the same key the last
	// written wins. DeleteMissing deletes rows whose key is not staged.
	PublishUpsert
	// PublishGroups: the rows of an id (the column id) become those staged, 0 to n, for each id in Asked; nothing is written where they
	// are equal. Rows of other ids stay.
	PublishGroups
	// PublishIDs: the stage has one column, id: it is the complete list. The table IDsPrefix+Table becomes it, and rows of the main table,
	// where it exists, whose id is not in it are deleted.
	PublishIDs
)

// Publication says how a stage becomes part of a table.
type Publication struct {
	Mode          PublishMode
	Key           []string
	DeleteMissing bool
	// Deletes is the most rows that may be deleted for being absent, as a part of those there are: 0.1; 1: no bound. Where more would go the
	// error is of kind [TooManyDeletes] and nothing is published. A table of less than ten rows may lose one whatever the part.
	Deletes float64
	Cursor  string
	From    vector.Value
	Asked   *vector.Vector // PublishGroups
	// Synced adds the column SyncedAt, set to At where a row is written.
	Synced bool
	// History keeps what was: rows that change or go get ValidTo = At, rows that come get ValidFrom = At. For PublishReplace the rows are
	// compared as a whole, or by Key where there is one.
	History bool
	At      time.Time
	// Rejects found at the source for this stage, besides those that writing found; Row means nothing, Key is the row's key as text. Those of
	// rows that are replaced or deleted go, by key; PublishReplace empties the table first.
	Rejects []MirrorReject
	State   json.RawMessage
	// Children are tables of what arrays of the rows hold, each staged like a mirror of its own; they are published in the same transaction.
	// Key is then one column. PublishReplace: they hold what is staged. PublishAppend: what they do not have as often is added. PublishUpsert:
	// the rows of all parents that are staged become those staged, and with DeleteMissing those whose parent is gone go. Not for other modes,
	// nor with History.
	Children []Child
}

// Child is a table of what arrays hold.
type Child struct {
	Table   MirrorTable    // as it was staged; its bookkeeping is its own
	Parent  string         // the column with the key of the row that the array is in
	Rejects []MirrorReject // for its own table of rejects; Key is that of the parent
}

// ErrTwiceWithChildren is the failure of a PublishUpsert with children where rows are staged twice: nothing tells which of the staged
// rows of arrays belong to the last.
func ErrTwiceWithChildren(mirror string) error {
	return &Error{
		Op: "publish", Object: mirror, Kind: NoKey, Err: errors.New("documents with the same key came twice in one run, and their arrays are tables of their own"),
		Hint: "run it again if they changed while they were read; else use mode: replace, or leave out arrays",
	}
}

// MirrorReject is one row of <table>__rejects.
type MirrorReject struct {
	Key, Column, Value, Reason string
	At                         time.Time
}

// Published says what a publication did.
type Published struct {
	Inserted, Updated, Deleted, Unchanged int64
	Rejects                               int64 // rows of the table of rejects that were written
	Notices                               []string
}

// RejectColumns are the columns of <table>__rejects, in order, all of kind text but the last.
func RejectColumns() []vector.Column {
	text := vector.Type{Kind: vector.Text}
	return []vector.Column{
		{Name: "key", Type: text}, {Name: "column_name", Type: text}, {Name: "value", Type: text}, {Name: "reason", Type: text},
		{Name: "rejected_at", Type: vector.Type{Kind: vector.TimestampTZ}},
	}
}
