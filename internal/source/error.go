package source

import "errors"

// Error is what went wrong at a source, in words, with what a person can do.
type Error struct {
	Op   string // read, connect, list, get
	Name string // of the database or what is read
	Err  error
	// Advice says what to do next.
	Advice string
	// Retry is set where the same may well work in a moment: a lost connection, a timeout, a restart.
	Retry bool
	// Changed is set where what was read is no longer what it was when the reading began: a column is gone, a table is another.
	Changed bool
}

func (e *Error) Error() string { return e.Op + " " + e.Name + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Hint tells a person what to do.
func (e *Error) Hint() string { return e.Advice }

// CanRetry reports whether the same may well work in a moment.
func CanRetry(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retry
}
