package app

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"firth/internal/lake"
	"firth/internal/object"
)

// The snippets: each makes a view of the events in a DuckDB that has nothing of ours.
var (
	//go:embed snippet/files.sql
	filesSQL string
	//go:embed snippet/files.py
	filesPython string
	//go:embed snippet/catalog.sql
	catalogSQL string
	//go:embed snippet/catalog.py
	catalogPython string
)

// snippet is what the templates are filled with. Texts are in the quotes that their language asks for.
type snippet struct {
	Source, Span, AsOf          string
	Files                       int
	Rows                        int64
	View, Table, PythonTable    string
	Select, PythonSelect, Where string
	Endpoint, PythonEndpoint    string
	Quotes                      string
	Store                       *snippetStore // nil: the files are on local disk
}

// snippetStore is how a DuckDB reaches the object store of the files.
type snippetStore struct{ Options, Scope, Python string }

// snippetText is what firth lake snippet -o json prints.
type snippetText struct {
	Source string `json:"source"`
	SQL    string `json:"sql"`
	Python string `json:"python"`
}

// LakeSnippet prints SQL for DuckDB and Python that read what the lake has, with nothing of Firth installed. It only reads.
func LakeSnippet(ctx context.Context, o LakeOptions) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	when, err := o.span()
	if err != nil {
		return err
	}
	if err := checkCatalogURL(o.CatalogURL); err != nil {
		return err
	}
	if o.Language != "" && o.Language != "sql" && o.Language != "python" {
		return &hinted{usage: true, err: fmt.Errorf("no snippet in %q", o.Language), hint: "write --in sql or --in python"}
	}
	reader, err := o.openReader(ctx)
	if err != nil {
		return err
	}
	out, err := o.snippet(ctx, reader, when)
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	switch {
	case o.Output == "json":
		return json.NewEncoder(o.Stdout).Encode(out)
	case o.Language == "sql":
		_, err = io.WriteString(o.Stdout, out.SQL)
	case o.Language == "python":
		_, err = io.WriteString(o.Stdout, out.Python)
	default:
		_, err = fmt.Fprintf(o.Stdout, "%s\n%s\n%s", out.SQL, "-- The same in Python:", "\n"+out.Python)
	}
	return err
}

// checkCatalogURL says what is wrong with --catalog. What engines take is the address without anything behind it.
func checkCatalogURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") == "" {
		return &hinted{usage: true, err: errors.New("--catalog is no address of a catalog"), hint: "write the server's URL and /iceberg: http://127.0.0.1:8080/iceberg, without name or password"}
	}
	return nil
}

// only is the one table that a command is about.
func (o *LakeOptions) only(ctx context.Context, reader *lake.Reader) (string, error) {
	if o.Source != "" {
		names, err := o.tables(ctx, reader)
		if err != nil {
			return "", err
		}
		return names[0], nil
	}
	names, err := reader.Sources(ctx)
	if err != nil {
		return "", fmt.Errorf("list tables: %w", err)
	}
	if len(names) == 1 {
		return names[0], nil
	}
	if len(names) == 0 {
		return "", hint(errors.New("the lake has no table of events yet"), "start the server (firth serve), which makes them")
	}
	return "", &hinted{usage: true, err: errors.New("--source is missing"), hint: "name one of " + strings.Join(names, ", ")}
}

func (o *LakeOptions) snippet(ctx context.Context, reader *lake.Reader, when span) (*snippetText, error) {
	name, err := o.only(ctx, reader)
	if err != nil {
		return nil, err
	}
	snap, err := reader.Snapshot(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list files of %s: %w", name, err)
	}
	cfg, _, err := o.where()
	if err != nil {
		return nil, err
	}
	s := snippet{
		Source: name, Span: when.text(), AsOf: snap.Time.UTC().Format("2006-01-02 15:04:05Z"), View: sqlName(name), Table: sqlName(name), Quotes: `"""`,
		PythonTable: pythonSQL(sqlName(name)), Where: when.where(), Endpoint: sqlText(o.CatalogURL), PythonEndpoint: strconv.QuoteToASCII(o.CatalogURL),
	}
	if address := cfg.LakeStore(); address != "" {
		if s.Store, err = storeSnippet(address); err != nil {
			return nil, err
		}
	}
	var places []string
	for _, f := range snap.Files {
		if !when.may(f.MinReceived, f.MaxReceived) {
			continue
		}
		place := f.Path
		if s.Store != nil {
			place = reader.Location(f)
		}
		places = append(places, place)
		s.Rows += f.Rows
	}
	slices.Sort(places)
	s.Files, s.Select = len(places), filesSelect(places, when)
	s.PythonSelect = pythonSQL(s.Select)
	out := &snippetText{Source: name}
	sql, python := filesSQL, filesPython
	if o.CatalogURL != "" {
		sql, python = catalogSQL, catalogPython
	}
	if out.SQL, err = s.fill(sql); err != nil {
		return nil, err
	}
	out.Python, err = s.fill(python)
	return out, err
}

func (s *snippet) fill(text string) (string, error) {
	t, err := template.New("snippet").Parse(text)
	if err != nil {
		return "", fmt.Errorf("print a snippet: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, s); err != nil {
		return "", fmt.Errorf("print a snippet: %w", err)
	}
	return b.String(), nil
}

// storeSnippet is how the store of an address is reached, without the keys that the address may have.
func storeSnippet(address string) (*snippetStore, error) {
	a, err := object.Parse(address)
	if err != nil {
		return nil, hint(errors.New("lake.url is no address of an object store"), "write it as s3://BUCKET/PREFIX?region=eu-central-1")
	}
	options := ", REGION " + sqlText(a.Region)
	if a.Endpoint != "s3.amazonaws.com" {
		options += ", ENDPOINT " + sqlText(a.Endpoint) + ", USE_SSL " + strconv.FormatBool(a.Secure)
	}
	if a.PathStyle() {
		options += ", URL_STYLE 'path'"
	}
	scope := sqlText(a.Location())
	return &snippetStore{Options: options, Scope: scope, Python: strconv.QuoteToASCII(options + ", SCOPE " + scope + ")")}, nil
}

// filesSelect reads the events of files, without the columns that are Firth's own.
func filesSelect(places []string, when span) string {
	const columns = "message_id, type, event, ts, received_at, sent_at, original_timestamp, user_id, anonymous_id, properties, context, og_payload"
	if len(places) == 0 {
		return "SELECT NULL::VARCHAR AS message_id, NULL::VARCHAR AS type, NULL::VARCHAR AS event, NULL::TIMESTAMPTZ AS ts, NULL::TIMESTAMPTZ AS received_at,\n" +
			"  NULL::TIMESTAMPTZ AS sent_at, NULL::TIMESTAMPTZ AS original_timestamp, NULL::VARCHAR AS user_id, NULL::VARCHAR AS anonymous_id,\n" +
			"  NULL::VARCHAR AS properties, NULL::VARCHAR AS context, NULL::VARCHAR AS og_payload\nWHERE false"
	}
	var b strings.Builder
	b.WriteString("SELECT " + columns + "\nFROM read_parquet([\n")
	for i, p := range places {
		b.WriteString("  " + sqlText(p))
		if i+1 < len(places) {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("], hive_partitioning = false)")
	if where := when.where(); where != "" {
		b.WriteString("\n" + where)
	}
	return b.String()
}

func sqlName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func sqlText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// pythonSQL is SQL within three quotes of Python.
func pythonSQL(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"""`, `\"\"\"`)
}

// receivedText is a time as lists show it.
func receivedText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") }
