package warehouse

import "fmt"

// Allows reports whether so many rows may be deleted for being absent, of those that there are.
func (p *Publication) Allows(gone, of int64) bool {
	if p.Deletes >= 1 || gone <= 0 || of < 10 && gone == 1 {
		return true
	}
	// 0.29 is a little less than 29 of 100.
	return float64(gone) <= p.Deletes*float64(of)*(1+1e-9)
}

// OwnRejects fails where a table with the name of a mirror's rejects has not their columns: it is somebody else's, and must stay as it is.
func OwnRejects(mirror, table string, has func(column string) bool) error {
	for _, c := range RejectColumns() {
		if !has(c.Name) {
			return &Error{
				Op: "publish", Object: mirror, Kind: BadName, Err: fmt.Errorf("%s is a table of somebody else's, and rejected values belong there", table),
				Hint: "rename that table, or give the mirror another: into: { table: ... }",
			}
		}
	}
	return nil
}
