package iceberg

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/warehousetest"
)

func TestMirrors(t *testing.T) {
	warehousetest.RunMirrors(t, func(t *testing.T) *warehousetest.MirrorTarget { return mirrorTarget(t, newStand(t, t.TempDir())) })
}

// mirrorsOf are the mirrors of a stand; stages lie in its folder.
func mirrorsOf(s *stand) *Mirrors {
	s.o.Stages = filepath.Join(s.dir, "stages")
	return s.Mirrors()
}

func mirrorTarget(t *testing.T, s *stand) *warehousetest.MirrorTarget {
	m := mirrorsOf(s)
	closeAll := func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(closeAll)
	return &warehousetest.MirrorTarget{
		Target: seen{m, s}, DB: s.reader, Quote: quote, Text: mirrorText,
		Reopen: func(t *testing.T) *warehousetest.MirrorTarget {
			closeAll()
			if err := s.catalog.Close(); err != nil {
				t.Fatal(err)
			}
			return mirrorTarget(t, newStand(t, s.dir))
		},
		User: func(t *testing.T, statements ...string) {
			for _, statement := range statements {
				s.user(t, statement)
			}
			s.refresh()
		},
		Unfit: func(t vector.Type, text string) bool {
			switch t.Kind {
			case vector.Decimal:
				return stored(t).Kind == vector.Decimal && text == "NaN"
			case vector.Date, vector.Timestamp, vector.TimestampTZ:
				return strings.HasSuffix(text, "infinity")
			}
			return false
		},
		Lacks: map[string]string{"indexes and views stay": "Iceberg has no indexes, and readers keep views in their own engines"},
	}
}

// seen shows the reader what was published.
type seen struct {
	m *Mirrors
	s *stand
}

func (x seen) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	return x.m.Mirror(ctx, t)
}

func (x seen) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	return x.m.IDs(ctx, t, after, limit)
}

func (x seen) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (warehousetest.MirrorStage, error) {
	s, err := x.m.Stage(ctx, t, o)
	if err != nil {
		return nil, err
	}
	return seenStage{s, x.s}, nil
}

func (x seen) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	defer x.s.refresh()
	return x.m.ForgetMirror(ctx, f)
}

type seenStage struct {
	*Stage
	s *stand
}

func (x seenStage) Publish(ctx context.Context, p *warehouse.Publication) (*warehouse.Published, error) {
	defer x.s.refresh()
	return x.Stage.Publish(ctx, p)
}

// user does what a person might do to a table of one column x with another engine.
func (s *stand) user(t *testing.T, statement string) {
	t.Helper()
	verb, rest, _ := strings.Cut(statement, `"`)
	schema, rest, _ := strings.Cut(rest, `"."`)
	name, _, _ := strings.Cut(rest, `"`)
	ctx := t.Context()
	switch verb {
	case "CREATE TABLE ":
		tbl, err := s.fresh(ctx, schema, name, []iceberg.NestedField{{Name: "x", Type: iceberg.PrimitiveTypes.Int32}}, "", nil)
		if err == nil {
			err = s.commit(ctx, schema, []change{{table: tbl}})
		}
		if err != nil {
			t.Fatal(err)
		}
	case "INSERT INTO ":
		tbl, err := s.load(ctx, schema, name)
		if err != nil {
			t.Fatal(err)
		}
		err = s.inWorkshop(ctx, func(w *duckdb.Workshop) error {
			files, err := s.write(ctx, w, tbl, "SELECT 1::INTEGER AS x")
			if err != nil {
				return err
			}
			return s.commit(ctx, schema, []change{{table: tbl, add: files}})
		})
		if err != nil {
			t.Fatal(err)
		}
	default:
		s.person(t, statement)
	}
}

// mirrorText writes a column as the suite has its values.
func mirrorText(t vector.Type, c string) string {
	switch {
	case t.Kind == vector.Interval:
		return spanText(c)
	case stored(t).Kind == vector.Text:
		return c
	}
	switch t.Kind {
	case vector.Decimal:
		return "regexp_replace(" + c + "::VARCHAR, '^(-?)\\.', '\\10.')"
	case vector.Blob:
		return "lower(hex(" + c + "))"
	case vector.List:
		return "to_json(" + c + ")::VARCHAR"
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return "replace(" + c + "::VARCHAR, '(BC)', 'BC')"
	}
	return c + "::VARCHAR"
}

// spanText takes P1Y2M40DT25H0.000001S apart: months, days, microseconds.
func spanText(c string) string {
	part := func(pattern string) string {
		return "coalesce(nullif(regexp_extract(" + c + ", '" + pattern + "', 1), '')::BIGINT, 0)"
	}
	return fmt.Sprintf("CASE WHEN "+c+" IS NULL THEN NULL ELSE (%s * 12 + %s) || ' ' || %s || ' ' || (%s * 3600000000 + %s * 60000000 + round(coalesce(nullif(regexp_extract(%s, 'T.*?(-?[0-9.]+)S', 1), '')::DECIMAL(30,6), 0) * 1000000)::BIGINT) END",
		part(`P(-?\d+)Y`), part(`^P[^T]*?(-?\d+)M`), part(`(-?\d+)D`), part(`(-?\d+)H`), part(`T.*?(-?\d+)M`), c)
}
