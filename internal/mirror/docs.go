package mirror

import (
	"context"
	"encoding/json"
	"errors"

	"firth/internal/source"
	"firth/internal/vector"
)

// docs makes rows of documents. Its methods do nothing where it is nil: of a relational source.
type docs struct{}

func (c *copying) planDocs(ctx context.Context, same bool) (*docs, error) {
	return nil, errors.New("documents are not there")
}

func (d *docs) restore(s *staged) bool                        { return true }
func (d *docs) plan() json.RawMessage                         { return nil }
func (d *docs) columns() []vector.Column                      { return nil }
func (d *docs) counts(columns []vector.Column) []counts       { return nil }
func (d *docs) key() []string                                 { return nil }
func (d *docs) keyPaths() []string                            { return nil }
func (d *docs) keyChunk(*source.Batch) (*vector.Chunk, error) { return nil, nil }
func (d *docs) cursorName() string                            { return "" }
func (d *docs) targetValue(v vector.Value) vector.Value       { return v }
func (d *docs) intake(c *copying) intake                      { return nil }
