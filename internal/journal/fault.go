package journal

import (
	"errors"
	"fmt"

	"firth/internal/disk"
)

// What Append and the others fail with; test with errors.Is.
var (
	// ErrFull: the journal takes no more for now: its budget, the disk or a quota is used up, or a new segment cannot be
	// created. Nothing is acknowledged; it heals by itself when the cause goes.
	ErrFull = errors.New("the journal is full")
	// ErrFailed: a sync or a write failed, so that nothing is known about what was written last. The journal refuses for good;
	// what was acknowledged before can still be read. A new start reads what the disk holds.
	ErrFailed = errors.New("the journal has failed")
	// ErrClosed: the journal is shutting down.
	ErrClosed = errors.New("the journal is closed")
	// ErrTooLarge: the payload is longer than [MaxPayload].
	ErrTooLarge = errors.New("the payload is too large for the journal")
	// ErrTrimmed: the offset asked for has been trimmed away.
	ErrTrimmed = errors.New("the offset is no longer in the journal")
	// ErrBeyond: the offset asked for lies behind the end. A reader that has seen it before faces a journal that lost its
	// tail, or another one.
	ErrBeyond = errors.New("the offset is beyond the end of the journal")
)

// DamageError tells that a file of the journal is not as it was written.
type DamageError struct {
	Path   string
	Byte   int64 // where in the file
	Reason string
}

func damaged(path string, at int64, reason string) error {
	return &DamageError{Path: path, Byte: at, Reason: reason}
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("journal segment %s is damaged at byte %d: %s", e.Path, e.Byte, e.Reason)
}

// Hint tells a person what to do.
func (e *DamageError) Hint() string {
	return "Nothing was changed. Put the file back from a copy of the disk, or run: firth journal salvage. It puts single flipped bits " +
		"right, keeps every event that can still be read, names those that are lost, and sets the damaged file aside."
}

// VersionError tells that a segment was written in a format that this program does not know.
type VersionError struct {
	Path    string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal segment %s has format %d; this program reads formats up to %d", e.Path, e.Version, Format)
}

// Hint tells a person what to do.
func (e *VersionError) Hint() string {
	return "A newer version of Firth wrote it. Start that version, or a newer one."
}

// refusal is a reason for ErrFull that the journal itself found.
type refusal struct{ reason, hint string }

func (e *refusal) Error() string { return e.reason }

// Hint tells a person what to do.
func (e *refusal) Hint() string { return e.hint }

const (
	roomHint   = "Make room on the disk or raise the quota; the journal goes on by itself."
	failedHint = "Look at the disk (dmesg, smartctl), mend or replace it, and start again. Nothing that was acknowledged is given up."
)

// Hint gives what a person can do about an error of this package; empty where nothing is known.
func Hint(err error) string {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, ErrFailed):
		return failedHint
	case disk.IsFull(err):
		return roomHint
	}
	return ""
}
