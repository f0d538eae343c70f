package vector

// Column is one column of a mirrored table.
type Column struct {
	Name string `json:"name"` // in the warehouse
	Type Type   `json:"type"`
	// Path is what it is called at the source: a column's name, or the dotted path of a document's field.
	Path string `json:"path,omitempty"`
	// Source is the type as the source names it: numeric(14,4), bigint unsigned. Empty for documents.
	Source string `json:"source,omitempty"`
}

// Reject is a value that could not be stored where it belongs; the cell is NULL in its place.
type Reject struct {
	Row    int    // of the chunk
	Column string // name in the warehouse
	Value  string // as text, whole
	Reason string // in words, for a person
}

// Chunk is some rows of one table. It is not safe for use by several goroutines.
type Chunk struct {
	Columns []Column
	Vectors []*Vector // as many as Columns, all of Rows values
	Rows    int
	Rejects []Reject
}

// NewChunk makes an empty chunk.
func NewChunk(columns []Column) *Chunk {
	c := &Chunk{Columns: columns, Vectors: make([]*Vector, len(columns))}
	for i := range columns {
		c.Vectors[i] = New(columns[i].Type)
	}
	return c
}

// Reset empties the chunk and keeps its memory.
func (c *Chunk) Reset() {
	for _, v := range c.Vectors {
		v.Reset()
	}
	c.Rows, c.Rejects = 0, c.Rejects[:0]
}

// Find is the index of the column of that name, or -1.
func (c *Chunk) Find(name string) int {
	for i := range c.Columns {
		if c.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// Size is how many bytes the values take, about.
func (c *Chunk) Size() int {
	n := 0
	for _, v := range c.Vectors {
		n += v.Size()
	}
	return n
}
