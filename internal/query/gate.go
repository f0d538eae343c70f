package query

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

//go:embed ast.sql
var astSQL string

// check is the gate: it returns what to run if the statement is one SELECT (or EXPLAIN of one)
// that names only functions and tables that user may use. What the statement needs until it has been run is given back by done.
//
// It judges the engine's own syntax tree of the text, and refuses what it does not know: a kind of
// node, a function, a table that the catalogue has not got. Nothing is bound or run before that,
// since binding a read_csv opens the file already.
func (e *Engine) check(ctx context.Context, conn *sql.Conn, user User, req Request, done func(func() error)) (statement, error) {
	var none statement
	text := req.SQL
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return none, fail(CodeSyntax, "", "the statement is not UTF-8 text, or holds a NUL")
	}
	if conjunctions(text) > maxConjunctions {
		return none, tooComplex()
	}
	prefix, inner, err := peelExplain(text)
	if err != nil {
		return none, err
	}
	inner, tree, err := e.read(ctx, conn, inner)
	if err != nil {
		return none, err
	}
	w := walker{functions: e.functions, lakes: e.lakes != nil}
	if err := w.walk(tree, &scope{}); err != nil {
		return none, err
	}
	if err := e.catalog.permit(ctx, conn, user, &w); err != nil {
		return none, err
	}
	run, err := e.lake(ctx, conn, user, req.Params, inner, tree, &w, done)
	run.text = prefix + run.text
	return run, err
}

// read parses a statement. One that the parser refuses is tried once more with other spellings of time travel brought to the
// parser's own; the text returned is the one that the tree is of.
func (e *Engine) read(ctx context.Context, conn *sql.Conn, text string) (string, any, error) {
	tree, err := parse(ctx, conn, text)
	var refused *Error
	if err == nil || e.lakes == nil || !errors.As(err, &refused) || refused.Code != CodeSyntax {
		return text, tree, err
	}
	spelled, edits := spell(text)
	if len(edits) == 0 {
		return text, nil, err
	}
	tree, err = parse(ctx, conn, spelled)
	if errors.As(err, &refused) && refused.at >= 0 {
		refused.Hint = position(text, strconv.Itoa(before(refused.at, edits)))
	}
	return spelled, tree, err
}

// ast is what the engine's parser says of a text.
type ast struct {
	Error      bool   `json:"error"`
	Type       string `json:"error_type"`
	Message    string `json:"error_message"`
	Position   string `json:"position"`
	Statements []any  `json:"statements"`
}

// parse returns the syntax tree of the one SELECT in text.
func parse(ctx context.Context, conn Parser, text string) (any, error) {
	var raw string
	if err := conn.QueryRowContext(ctx, astSQL, text).Scan(&raw); err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	var tree ast
	if err := json.Unmarshal([]byte(raw), &tree); err != nil {
		e := fail(CodeSyntax, "write it with less nesting", "the statement is too complex to be checked")
		e.err = err
		return nil, e
	}
	switch {
	case tree.Error && tree.Type == "not implemented":
		return nil, notReadOnly(text)
	case tree.Error:
		out := fail(CodeSyntax, position(text, tree.Position), "%s", tree.Message)
		if at, err := strconv.Atoi(tree.Position); err == nil {
			out.at = at
		}
		return nil, out
	case len(tree.Statements) == 0:
		return nil, fail(CodeSyntax, "", "there is no statement")
	case len(tree.Statements) > 1:
		return nil, fail(CodeNotReadOnly, "send them one by one", "%d statements came at once; one is allowed", len(tree.Statements))
	}
	return tree.Statements[0], nil
}

func notReadOnly(text string) *Error {
	word := strings.ToUpper(firstWord(text))
	if word == "PIVOT" || word == "FROM" || word == "SELECT" || word == "WITH" {
		return fail(CodeNotReadOnly, "name the values: PIVOT t ON column IN ('a', 'b') USING count(*); and send one statement at a time",
			"only one SELECT is allowed, and a PIVOT must name its values")
	}
	if word == "" {
		word = "this statement"
	}
	return fail(CodeNotReadOnly, "SELECT, WITH, VALUES, FROM, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN of these are", "%s is not allowed here", word)
}

// position turns a byte position into words; "" if there is none.
func position(text, at string) string {
	n, err := strconv.Atoi(at)
	if err != nil || n < 0 || n > len(text) {
		return ""
	}
	until := text[:n]
	line := strings.Count(until, "\n") + 1
	column := utf8.RuneCountInString(until[strings.LastIndexByte(until, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}
