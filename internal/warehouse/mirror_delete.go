package warehouse

// Allows reports whether so many rows may be deleted for being absent, of those that there are.
func (p *Publication) Allows(gone, of int64) bool {
	if p.Deletes >= 1 || gone <= 0 || of < 10 && gone == 1 {
		return true
	}
	// 0.29 is a little less than 29 of 100.
	return float64(gone) <= p.Deletes*float64(of)*(1+1e-9)
}
