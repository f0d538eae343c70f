package duckdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/warehouse"
)

var (
	errClosed = errors.New("the warehouse is closed")
	errNewer  = errors.New("written by a newer version of Firth")
)

// Texts by which DuckDB 1.5 says what is wrong with a file; it has no codes for them.
var (
	lockedText  = regexp.MustCompile(`(?i)could not set lock on file|conflicting lock|already open`)
	pidText     = regexp.MustCompile(`\(PID (\d+)\)`)
	newerText   = regexp.MustCompile(`(?i)trying to read a database file with version number|created with a newer version|requires? a newer version`)
	corruptText = regexp.MustCompile(`(?i)corrupt|checksum|not a valid duckdb database file|replaying wal|serialization error|failed to deserialize|could not read enough bytes|unexpected end`)
	logText     = regexp.MustCompile(`(?i)replaying wal|wal does not match`)
	fullText    = regexp.MustCompile(`(?i)no space left|disk quota|max_temp_directory_size|failed to offload`)
	deniedText  = regexp.MustCompile(`(?i)permission denied|read-only file system|cannot open file`)
	memoryText  = regexp.MustCompile(`(?i)out of memory|failed to pin block|could not allocate block`)
	brokenText  = regexp.MustCompile(`(?i)database( ".*")? has been invalidated|must be restarted`)
)

// openError says why the file at path could not be opened, and what to do.
func openError(path string, err error) error {
	e := &warehouse.Error{Op: "open warehouse", Object: path, Kind: kindOf(err), Err: err}
	switch e.Kind {
	case warehouse.Locked:
		who := "another process"
		if m := pidText.FindStringSubmatch(err.Error()); m != nil {
			if pid, convErr := strconv.Atoi(m[1]); convErr == nil {
				e.PID, who = pid, "process "+m[1]
			}
		}
		e.Hint = fmt.Sprintf("%s has %s open: end it, or let it close the file; Firth goes on trying and catches up from the lake", who, path)
	case warehouse.Corrupt:
		e.Hint = fmt.Sprintf("move the file away (mv %s %s.broken; also %s.wal where it exists): Firth makes a new one and fills it from the lake", path, path, path)
	case warehouse.Newer:
		e.Hint = fmt.Sprintf("run the version of Firth that wrote the file, or a later one; or move %s away: a new one is filled from the lake", path)
	case warehouse.Denied:
		e.Hint = fmt.Sprintf("give the user that runs Firth (uid %d) the right to read and write %s and its folder", os.Getuid(), path)
	case warehouse.DiskFull:
		e.Hint = "make room on the disk of the data folder"
	case warehouse.NoMemory:
		e.Hint = "give the warehouse more memory (query.memory): replaying its log did not fit"
	default:
		e.Hint = fmt.Sprintf("see the error; if the file is damaged, move %s away: a new one is filled from the lake", path)
	}
	return e
}

// fail wraps an error of an open warehouse with its kind and, where a person can do something, a hint.
func (d *DB) fail(op, object string, err error) error {
	var known *warehouse.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	e := &warehouse.Error{Op: op, Object: object, Kind: kindOf(err), Err: err}
	switch e.Kind {
	case warehouse.Broken, warehouse.Corrupt:
		if fullText.MatchString(err.Error()) {
			e.Hint = "make room on the disk of the data folder: the warehouse is opened anew and loading goes on by itself"
			break
		}
		e.Hint = "the warehouse is opened anew; if this comes again, move " + d.path + " away: a new one is filled from the lake"
	case warehouse.DiskFull:
		e.Hint = "make room on the disk of the data folder: loading goes on by itself"
	case warehouse.NoMemory:
		e.Hint = "give the warehouse more memory (query.memory)"
	}
	return e
}

func kindOf(err error) warehouse.Kind {
	text := err.Error()
	var de *engine.Error
	if errors.As(err, &de) {
		switch de.Type {
		case engine.ErrorTypeFatal, engine.ErrorTypeInternal:
			if !corruptText.MatchString(text) || brokenText.MatchString(text) {
				return warehouse.Broken
			}
		case engine.ErrorTypeOutOfMemory:
			if fullText.MatchString(text) {
				return warehouse.DiskFull
			}
			return warehouse.NoMemory
		}
	}
	switch {
	case errors.Is(err, errNewer) || newerText.MatchString(text):
		return warehouse.Newer
	case lockedText.MatchString(text):
		return warehouse.Locked
	case brokenText.MatchString(text):
		return warehouse.Broken
	case fullText.MatchString(text):
		return warehouse.DiskFull
	case deniedText.MatchString(text):
		return warehouse.Denied
	case corruptText.MatchString(text):
		return warehouse.Corrupt
	case memoryText.MatchString(text):
		return warehouse.NoMemory
	}
	return warehouse.Unexpected
}
