package warehouse

import (
	"errors"
	"fmt"
)

// Kind says what is wrong with a warehouse, for code that branches on it.
type Kind string

// Kinds of trouble.
const (
	Locked   Kind = "locked"    // another process has it
	Corrupt  Kind = "corrupt"   // its files are damaged
	Newer    Kind = "newer"     // written by a newer version than this program reads
	Denied   Kind = "denied"    // permission is missing
	DiskFull Kind = "disk_full" // no space left
	NoMemory Kind = "no_memory" // the memory limit was reached
	Broken   Kind = "broken"    // the engine gave up and must be opened again
	Moved    Kind = "moved"     // the stored position is not where the batch begins
	Damaged  Kind = "damaged"   // a file of the lake, see Error.Object
	BadName  Kind = "bad_name"  // a schema name that the warehouse needs for itself

	// Of a warehouse that is a server.
	NoHost     Kind = "no_host"         // its name does not resolve
	Down       Kind = "down"            // nobody listens, or the connection was cut; it may come back by itself
	Timeout    Kind = "timeout"         // no answer in time
	NoDatabase Kind = "no_database"     // there is no such database
	BadLogin   Kind = "bad_login"       // wrong user or password
	NoLogin    Kind = "no_login"        // the role is not permitted to log in, or not from here
	NeedsTLS   Kind = "needs_tls"       // it refuses plain connections
	BadTLS     Kind = "bad_tls"         // its certificate is not trusted
	ReadOnly   Kind = "read_only"       // a replica, or set to read only
	TooMany    Kind = "too_many"        // connections, tables or columns
	Busy       Kind = "busy"            // somebody holds a lock for too long
	NotThere   Kind = "not_there"       // a feature that is not installed, such as columnar tables
	Unstaged   Kind = "staging_trouble" // the object store that parts are staged on

	// Of a mirror.
	TooManyDeletes Kind = "too_many_deletes" // more rows would go than max_delete allows
	NoKey          Kind = "no_key"           // a key of an upsert is NULL, or the key column is gone

	Unexpected Kind = "unexpected" // anything else
)

// Error is a failure with a hint for the person who has to mend it.
type Error struct {
	Op     string // what was being done: open, load, ...
	Object string // the file, the source, the table
	Kind   Kind
	Hint   string
	PID    int // the process that holds the lock, where the engine told
	Err    error
}

// Error says operation, object and cause; the hint is apart.
func (e *Error) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, and Unexpected where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unexpected
}

// HintOf returns the hint of the first Error in err's chain.
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
