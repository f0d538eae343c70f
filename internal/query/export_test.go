package query

// Spell is spell, and reads the text as a plan's conditions too.
func Spell(text string) (string, bool) {
	out, edits := spell(text)
	for _, e := range edits {
		before(e.start, edits)
	}
	c := conditionOf(text)
	return out, c.may(&LakeFile{MinEvent: "a", MaxEvent: "b"})
}
