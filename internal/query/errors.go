package query

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Code is a stable word for a kind of failure; scripts branch on it.
type Code string

// The codes. docs/sql.md lists them for users.
const (
	CodeSyntax          Code = "syntax_error"
	CodeUnknownTable    Code = "unknown_table"
	CodeUnknownColumn   Code = "unknown_column"
	CodeUnknownFunction Code = "unknown_function"
	CodeNotReadOnly     Code = "not_read_only"
	CodeForbidden       Code = "forbidden"
	CodeDeadline        Code = "deadline"
	CodeTooMany         Code = "too_many_queries"
	CodeOutOfMemory     Code = "out_of_memory"
	CodeBadParam        Code = "bad_param"
	CodeFailed          Code = "query_failed" // types that do not fit, division by zero, a failed cast
	CodeCanceled        Code = "canceled"     // the asker went away
	CodeInternal        Code = "internal"
	CodeNoSnapshot      Code = "no_snapshot" // AS OF a state that is not kept
	CodeTooLarge        Code = "too_large"   // needs more files of the lake than lake.cache holds
	CodeStore           Code = "store_unavailable"
)

// Error is a failed query in words for the person who asked.
type Error struct {
	Code    Code
	Message string
	Hint    string // what to do next; may be empty
	Status  int    // of an HTTP reply
	at      int    // byte of the statement; -1: not known
	err     error  // the cause, for logs
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.Hint + ")"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// status maps a code to its HTTP status.
func (c Code) status() int {
	switch c {
	case CodeForbidden, CodeNotReadOnly:
		return http.StatusForbidden
	case CodeDeadline:
		return http.StatusRequestTimeout
	case CodeTooMany:
		return http.StatusTooManyRequests
	case CodeCanceled:
		return 499
	case CodeStore:
		return http.StatusServiceUnavailable
	case CodeInternal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

func fail(code Code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint, Status: code.status(), at: -1}
}

// AsError returns err as an *Error; what is none becomes "internal", whose message says nothing of the cause.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return fail(CodeDeadline, "", "the query took longer than it may")
	case errors.Is(err, context.Canceled):
		return fail(CodeCanceled, "", "the query was cancelled")
	}
	e = fail(CodeInternal, "the server's log has the cause; try again", "the query could not be run")
	e.err = err
	return e
}

// engineErrors maps the beginning of an engine's message to a code, the longest match first.
var engineErrors = []struct {
	prefix string
	code   Code
	hint   string
}{
	{"Parser Error", CodeSyntax, ""},
	{"Syntax Error", CodeSyntax, ""},
	{"Catalog Error: Table with name", CodeUnknownTable, ""},
	{"Catalog Error: Scalar Function with name", CodeUnknownFunction, ""},
	{"Catalog Error: Aggregate Function with name", CodeUnknownFunction, ""},
	{"Catalog Error: Table Function with name", CodeUnknownFunction, ""},
	{"Binder Error: Referenced column", CodeUnknownColumn, ""},
	{"Binder Error: Table \"", CodeUnknownColumn, ""},
	{"Binder Error: Values list \"", CodeUnknownColumn, ""},
	{"Binder Error: Referenced table", CodeUnknownTable, ""},
	{"Out of Memory Error", CodeOutOfMemory, "read fewer columns, filter by time or event, or aggregate before sorting and joining; the limit is query.memory in firth.yaml"},
	{"Invalid Input Error: Cannot execute statement of type", CodeNotReadOnly, "this endpoint reads; it changes nothing"},
	{"Invalid Input Error: Values were not provided for the following prepared statement parameters", CodeBadParam, "params is a list: its first value is $1"},
	{"Permission Error", CodeForbidden, "files, the network and settings cannot be reached from SQL"},
	{"IO Error", CodeInternal, "try again: a file of the lake may just have been merged away"},
	{"HTTP Error", CodeInternal, ""},
	{"Fatal Error", CodeInternal, "the server's log has the cause"},
	{"INTERRUPT Error", CodeInternal, "try again"},
	{"INTERNAL Error", CodeInternal, "the server's log has the cause; another way to write the query may work"},
	{"Serialization Error", CodeInternal, ""},
	{"TransactionContext Error", CodeInternal, "try again"},
	{"Invalid Configuration Error", CodeForbidden, "settings cannot be reached from SQL"},
}

// advice is where an engine's message turns from what is wrong to what could be meant and where.
var advice = regexp.MustCompile(`(?s)\n\s*(?:Candidate|Did you mean|LINE \d+:).*`)

// settings is advice to change a setting, which a query cannot.
var settings = regexp.MustCompile(`\n*[^\n]*"SET [^\n]*`)

// maxCandidates is how many of the functions that could be meant are named.
const maxCandidates = 5

// tidy drops blank lines and the tail of a long list of candidates.
func tidy(text string) string {
	var out []string
	candidates := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "\t") {
			if candidates++; candidates == maxCandidates+1 {
				line = "\t..."
			} else if candidates > maxCandidates {
				continue
			}
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// classify turns an engine's message into an Error. The engine's own advice ("Did you mean", the
// line with a caret) becomes the hint.
func classify(err error) *Error {
	text := strings.TrimSpace(err.Error())
	out := fail(CodeFailed, "", "%s", text)
	for _, known := range engineErrors {
		if strings.HasPrefix(text, known.prefix) {
			out = fail(known.code, known.hint, "%s", text)
			break
		}
	}
	out.err = err
	if out.Code == CodeInternal {
		out.Message = "the engine could not run the query"
		return out
	}
	if _, rest, ok := strings.Cut(out.Message, " Error: "); ok {
		out.Message = rest
	}
	out.Message = settings.ReplaceAllString(out.Message, "")
	if at := advice.FindStringIndex(out.Message); at != nil {
		if out.Hint == "" {
			out.Hint = tidy(out.Message[at[0]:])
		}
		out.Message = strings.TrimSpace(out.Message[:at[0]])
	}
	return out
}
