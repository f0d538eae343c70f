package warehouse

// Forget asks a warehouse to remove all that it holds of people, from the tables of one source: rows of events, of users, what was
// discarded of them. It may be called again with the same, after a failure or a kill, and beside readers; not beside a load of the source.
type Forget struct {
	Source, Schema string // as in [Batch]
	// UserIDs are removed wherever they stand: rows whose user_id or previous_id is one, and rows of users.
	UserIDs      []string
	AnonymousIDs []string
	// RowIDs are message ids of calls that go, whoever made them. Rows of users and accounts that such calls had made are computed anew.
	RowIDs []string
	// More says that another call for this warehouse follows at once: what is done to the warehouse as a whole (a file that is written anew)
	// may be left to the last one, and Erased is false until then. Whoever fails before that one begins again with the first.
	More bool
	// Step, where set, is told the name of each step before it is taken; an error stands for its failure.
	Step func(name string) error
}

// Forgotten says what a warehouse removed.
type Forgotten struct {
	Rows map[string]int64 `json:"rows,omitempty"` // by schema.table
	// Erased says that no byte of what was removed is left in the files that the warehouse keeps; otherwise Notices say where it may be for how
	// long, and what to do.
	Erased  bool     `json:"erased"`
	Notices []string `json:"notices,omitempty"`
}

// ForgetMirror asks for the same of a mirror's tables: rows of the past in a table with history, and values that were rejected. Rows that
// the source still has are counted and left, since the next run would bring them back.
type ForgetMirror struct {
	Table MirrorTable
	// Values are ids of people as text: a row is theirs when a column of text, of a number or a UUID, is equal to one.
	Values []string
	More   bool // as in [Forget]
	Step   func(name string) error
}

// ForgottenMirror says what was removed of a mirror, and how many rows the present table has of them.
type ForgottenMirror struct {
	Forgotten
	Present int64 `json:"present,omitempty"`
}
