package disktest

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Kind is a kind of operation.
type Kind string

// The kinds of operation. Create is the opening of a file that was not there; Sync stands for Sync and Datasync.
const (
	Open     Kind = "open"
	Create   Kind = "create"
	Read     Kind = "read"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Rename   Kind = "rename"
	Remove   Kind = "remove"
	Mkdir    Kind = "mkdir"
	ReadDir  Kind = "readdir"
	Stat     Kind = "stat"
	SyncDir  Kind = "syncdir"
	Free     Kind = "free"
)

// Changes reports whether the operation can change what is on the disk: these are the points where a crash is worth a test.
func (k Kind) Changes() bool {
	switch k {
	case Open, Read, ReadDir, Stat, Free:
		return false
	}
	return true
}

// Op is one operation, as a fault sees it before it happens.
type Op struct {
	Kind  Kind
	Path  string
	To    string // the new name of a rename
	Len   int    // bytes of a read or write, size of a truncate
	Index int    // counts the operations that change something, from 0; meaningless for others
	Nth   int    // counts the operations of the kind, from 0
}

func (o Op) String() string {
	switch o.Kind {
	case Rename:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Path, o.To)
	case Write, Truncate:
		return fmt.Sprintf("%s %s %d", o.Kind, o.Path, o.Len)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Path)
}

// ErrPowerOff is what every operation of a machine without power returns.
var ErrPowerOff = errors.New("disktest: the machine has no power")

// Torn is a fault of a write: the first Keep bytes are written, then Err.
type Torn struct {
	Keep int
	Err  error
}

func (t *Torn) Error() string { return fmt.Sprintf("torn after %d bytes: %v", t.Keep, t.Err) }

// Unwrap gives the cause.
func (t *Torn) Unwrap() error { return t.Err }

// Fault sets a function that is asked before every operation; where it returns an error the operation fails with it and
// does nothing (but see [Torn]). It must not use the file system. Nil takes the fault away.
func (f *FS) Fault(before func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// Trace sets a function that is told every operation that changes something, before it happens.
func (f *FS) Trace(fn func(Op)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trace = fn
}

// Ops counts the operations so far that can change something.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// op counts an operation and asks for a fault. The lock is held.
func (f *FS) op(o Op) error {
	o.Index, o.Nth = f.ops, f.kinds[o.Kind]
	f.kinds[o.Kind]++
	if o.Kind.Changes() {
		f.ops++
		if f.trace != nil {
			f.trace(o)
		}
	}
	if f.before == nil {
		return nil
	}
	return f.before(o)
}

// FailNth fails the n-th operation of a kind from now on, once. n counts from 0.
func FailNth(kind Kind, n int, err error) func(Op) error {
	var seen atomic.Int64
	return func(o Op) error {
		if o.Kind == kind && seen.Add(1) == int64(n)+1 {
			return err
		}
		return nil
	}
}

// PowerOffAt takes the power away at the operation with the index (see [Op]) and leaves it off. A write at that point is
// torn in the middle.
func PowerOffAt(index int) func(Op) error {
	var off atomic.Bool
	return func(o Op) error {
		switch {
		case off.Load():
			return ErrPowerOff
		case !o.Kind.Changes() || o.Index < index:
			return nil
		}
		off.Store(true)
		if o.Kind == Write {
			return &Torn{Keep: o.Len / 2, Err: ErrPowerOff}
		}
		return ErrPowerOff
	}
}
