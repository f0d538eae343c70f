package table

// Find returns the index of the column with the name, or -1.
func (b *Batch) Find(name string) int {
	for i := range b.Columns {
		if b.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// Get returns the value of a row in a column, Null where it has none or the column does not exist.
func (b *Batch) Get(row int, column string) Value {
	at := b.Find(column)
	for _, c := range b.Rows[row].Cells {
		if int(c.Col) == at {
			return c.Value
		}
	}
	return Value{}
}
