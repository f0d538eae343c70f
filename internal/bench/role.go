package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
)

// The roles in which the benchmark runs its own binary again, so that server and load generator are processes apart.
const (
	RoleBare     = "bare"
	RoleGenerate = "generate"
)

// message is a line that a role prints on its standard output.
type message struct {
	Listening string  `json:"listening,omitempty"` // bare: it accepts connections at this address
	Started   bool    `json:"started,omitempty"`   // generate: the warm-up is over
	Result    *Result `json:"result,omitempty"`    // generate: done
}

// ServeRole is what the hidden command of a role does: the role's options come as one JSON value on in, what happens goes as
// JSON lines to out. It returns when the role is done, when ctx ends, or when in ends, which is when the parent is gone.
func ServeRole(ctx context.Context, role string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := json.NewDecoder(in)
	lines := json.NewEncoder(out)
	// The outcome of writing a line shows at the parent: it ends a role whose lines do not come.
	say := func(m message) { _ = lines.Encode(m) }
	switch role {
	case RoleBare:
		var o BareOptions
		if err := options.Decode(&o); err != nil {
			return fmt.Errorf("options of role %s: %w", role, err)
		}
		go cancelAtEnd(in, cancel)
		return Bare(ctx, o, func(a net.Addr) { say(message{Listening: a.String()}) })
	case RoleGenerate:
		var o GenOptions
		if err := options.Decode(&o); err != nil {
			return fmt.Errorf("options of role %s: %w", role, err)
		}
		go cancelAtEnd(in, cancel)
		r, err := Generate(ctx, o, func() { say(message{Started: true}) })
		if err != nil {
			return err
		}
		say(message{Result: &r})
		return nil
	}
	return fmt.Errorf("no role %q", role)
}

// cancelAtEnd cancels when in ends. It is not joined: a read from a pipe cannot be ended from here, and the process is about
// to end when it returns.
func cancelAtEnd(in io.Reader, cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, in)
	cancel()
}
