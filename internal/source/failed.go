package source

import (
	"fmt"

	"firth/internal/vector"
)

// FailedIDs is what Next of a get may return in place of io.EOF: everything was handed out but the rows of these ids, which failed each
// for a reason of its own. Asking for them again at once is of no use.
type FailedIDs struct{ IDs []FailedID }

// FailedID is an id whose rows could not be read.
type FailedID struct {
	ID  vector.Value
	Err error
}

func (e *FailedIDs) Error() string {
	if len(e.IDs) == 1 {
		return e.IDs[0].Err.Error()
	}
	return fmt.Sprintf("%d ids failed, the first: %v", len(e.IDs), e.IDs[0].Err)
}

func (e *FailedIDs) Unwrap() error { return e.IDs[0].Err }
