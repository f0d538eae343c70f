package mirror

import (
	"context"
	"errors"

	"firth/internal/warehouse"
)

// Forgetter is a target that can remove what it holds of people beside the rows that the source still has.
type Forgetter interface {
	// ForgetMirror removes it from the table of one mirror and those of its arrays, see [warehouse.ForgetMirror]. Runs of the mirror may be
	// under way; they wait, or it does.
	ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error)
}

// ForgetMirror hands the order to the warehouse; an error of kind NotThere says that this kind of warehouse cannot do it.
func (a adapted[S]) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	w, ok := a.Stager.(Forgetter)
	if !ok {
		return nil, &warehouse.Error{
			Op: "forget people in", Object: f.Table.Name, Kind: warehouse.NotThere, Err: errors.New("this kind of warehouse cannot do it for mirrors"),
			Hint: "delete their rows of the past there by hand: those where " + warehouse.ValidTo + " is not NULL, and those of " + f.Table.Table + warehouse.RejectsSuffix,
		}
	}
	return w.ForgetMirror(ctx, f)
}
