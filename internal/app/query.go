package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/query"
	"firth/internal/warehouse"
)

// QueryOptions are the command line of firth query.
type QueryOptions struct {
	SQL            string // "-" reads Stdin
	Format         string // table, csv, json, ndjson or parquet
	URL            string // of a server; empty: the one on the data folder
	Config         string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Query asks one question and prints the answer.
func Query(ctx context.Context, o QueryOptions) error {
	format, ok := map[string]query.Format{
		"table": query.FormatTable, "csv": query.FormatCSV, "json": query.FormatList, "ndjson": query.FormatNDJSON, "parquet": query.FormatParquet,
	}[o.Format]
	if !ok {
		return &hinted{usage: true, err: fmt.Errorf("unknown format %q", o.Format), hint: "the formats are table, csv, json, ndjson and parquet"}
	}
	if format == query.FormatParquet && isTerminal(o.Stdout) {
		return &hinted{usage: true, err: errors.New("parquet is not for a terminal"), hint: "send it to a file: firth query ... -f parquet > rows.parquet"}
	}
	if o.SQL == "-" {
		text, err := io.ReadAll(o.Stdin)
		if err != nil {
			return fmt.Errorf("read SQL: %w", err)
		}
		o.SQL = string(text)
	}
	truncated, err := o.ask(ctx, format, query.Request{SQL: o.SQL})
	if err != nil {
		return explain(err)
	}
	if truncated {
		fmt.Fprintln(o.Stderr, "firth: the row cap cut the answer; raise query.rows, or ask for less")
	}
	return nil
}

func (o *QueryOptions) ask(ctx context.Context, format query.Format, req query.Request) (truncated bool, err error) {
	width := terminalWidth(o.Stdout)
	if o.URL != "" {
		c, err := api.NewClient(o.URL)
		if err != nil {
			return false, &hinted{err: err, usage: true}
		}
		return c.Write(ctx, o.Stdout, format, req, width)
	}
	cfg, err := o.configuration()
	if err != nil {
		return false, err
	}
	root, err := cfg.DataDir()
	if err != nil {
		return false, fmt.Errorf("find data folder: %w", err)
	}
	dir := folders{root}
	if _, err := os.Stat(dir.root); errors.Is(err, os.ErrNotExist) {
		return false, hint(fmt.Errorf("there is no data folder %s, and no --url", dir.root), "start a server (firth serve), or name one: --url http://127.0.0.1:8080")
	}
	lock, err := lockFolder(dir.root)
	if errors.Is(err, ErrLocked) {
		truncated, err := api.NewSocketClient(dir.socket()).Write(ctx, o.Stdout, format, req, width)
		var refused *query.Error
		if err != nil && !errors.As(err, &refused) {
			err = hint(err, "another process has the data folder %s and does not answer: a server that starts or stops, or another firth command; try again in a moment", dir.root)
		}
		return truncated, err
	}
	if err != nil {
		return false, err
	}
	defer lock.release()
	return o.askFolder(ctx, cfg, dir, format, req, width)
}

// askFolder answers from the data folder itself, while no server runs on it.
func (o *QueryOptions) askFolder(ctx context.Context, cfg *config.Config, dir folders, format query.Format, req query.Request, width int) (truncated bool, err error) {
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		return false, hint(fmt.Errorf("the data folder %s is empty", dir.root), "start the server once: firth serve")
	}
	log, err := newLogger(io.Discard, "text")
	if err != nil {
		return false, err
	}
	a, err := openAnswer(ctx, cfg, dir, log, answerParts{})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.loader.CatchUp(ctx); err != nil {
		return false, err
	}
	a.tables.Know(ctx)
	result, err := a.engine.Query(ctx, query.User{}, req)
	if err != nil {
		return false, err
	}
	err = query.Write(o.Stdout, format, result, width)
	return result.Truncated(), errors.Join(err, result.Close())
}

// configuration is the file that was named, firth.yaml where it exists, or the defaults.
func (o *QueryOptions) configuration() (*config.Config, error) {
	if o.Config == "" {
		if _, err := os.Stat(defaultConfig); errors.Is(err, os.ErrNotExist) {
			return config.Default(), nil
		}
	}
	return loadConfig(o.Config, o.Stdin)
}

// explain gives an error of the query, or of the warehouse, its hint.
func explain(err error) error {
	var q *query.Error
	if errors.As(err, &q) {
		return hint(errors.New(q.Message), "%s", q.Hint)
	}
	if h := warehouse.HintOf(err); h != "" {
		return hint(err, "%s", h)
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is the width that a table may take; 0 where it is not printed on a terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || strings.EqualFold(os.Getenv("TERM"), "dumb") {
		return 0
	}
	return width
}
