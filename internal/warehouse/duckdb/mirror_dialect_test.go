package duckdb

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

func TestMirrorDialect(t *testing.T) {
	integer, text, float := vector.Type{Kind: vector.Int, Bits: 64}, vector.Type{Kind: vector.Text}, vector.Type{Kind: vector.Float, Bits: 64}
	key := []pair{{name: "id", from: "id", is: vector.Type{Kind: vector.Int, Bits: 32}, as: integer}}
	at := warehouse.MirrorTable{Name: "people", Schema: "company", Table: "people"}
	for _, c := range []struct{ name, got, want string }{
		{"create", createMirror("s", `a"b`, []vector.Column{{Name: "id", Type: integer}, {Name: "d", Type: vector.Type{Kind: vector.Decimal, Width: 38, Scale: 2}},
			{Name: "w", Type: vector.Type{Kind: vector.Decimal, Width: 39}}, {Name: "l", Type: vector.Type{Kind: vector.List, Elem: &float}}}),
			`CREATE TABLE "s"."a""b" ("id" BIGINT, "d" DECIMAL(38,2), "w" VARCHAR, "l" DOUBLE[])`},
		{"widen", retypeMirror("s", "t", "c", float, text), `ALTER TABLE "s"."t" ALTER COLUMN "c" TYPE VARCHAR USING regexp_replace("c"::VARCHAR, '\.0$', '')`},
		{"from nothing", retypeMirror("s", "t", "c", vector.Type{}, integer), `ALTER TABLE "s"."t" ALTER COLUMN "c" TYPE BIGINT USING NULL::BIGINT`},
		{"same key", sameKey(key), `t."id" = s."id"::BIGINT`},
		{"differs", differs("a", "b", float), "(a IS DISTINCT FROM b OR a = 0 AND signbit(a) <> signbit(b))"},
		{"ids", selectIDs(at, text, vector.Value{Kind: vector.Text, Text: "it's"}, 5), `SELECT id::VARCHAR FROM "company"."_firth_ids_people" WHERE id > 'it''s'::VARCHAR ORDER BY id LIMIT 5`},
		{"first ids", selectIDs(at, integer, vector.Value{}, 5), `SELECT id::VARCHAR FROM "company"."_firth_ids_people" ORDER BY id LIMIT 5`},
		{"blob", literalOf(vector.Value{Kind: vector.Blob, Text: "\x00'"}), "from_hex('0027')"},
		{"before Christ", literalOf(vector.Value{Kind: vector.Date, Num: -719528 - 16000}), "'0045-03-12 (BC)'::DATE"},
		{"decimal", literalOf(vector.Value{Kind: vector.Decimal, Text: "-1.50"}), "-1.50"},
		{"instant", instantOf(time.UnixMicro(1_700_000_000_000_001)), "make_timestamptz(1700000000000001)"},
		{"extras", strings.Join(addExtras("s", "t", []vector.Column{{Name: "a", Type: integer}, {Name: "b", Type: integer}}, []string{"1", nothing}), "; "),
			`ALTER TABLE "s"."t" ADD COLUMN "a" BIGINT; ALTER TABLE "s"."t" ADD COLUMN "b" BIGINT; UPDATE "s"."t" SET "a" = 1`},
		{"key text", keyText("s", []string{"id", "b"}, []vector.Column{{Name: "b", Type: text}, {Name: "id", Type: integer}}), `coalesce(s."id"::VARCHAR, '') || ', ' || coalesce(s."b"::VARCHAR, '')`},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// FuzzDecimal128 compares with numbers of any size.
func FuzzDecimal128(f *testing.F) {
	for _, s := range []string{"0", "-0.5", "99999999999999999999999999999999999999", "-1.500", "NaN", "", "-", "1.2.3", ".5", "00012.30"} {
		f.Add(s, uint8(38), uint8(2))
	}
	f.Fuzz(func(t *testing.T, s string, width, scale uint8) {
		typ := vector.Type{Kind: vector.Decimal, Width: uint16(width%38) + 1}
		typ.Scale = uint16(scale) % (typ.Width + 1)
		low, high, reason := decimal128([]byte(s), typ)
		if reason != "" {
			return
		}
		got := new(big.Int).Lsh(big.NewInt(high), 64)
		got.Add(got, new(big.Int).SetUint64(low))
		want, ok := new(big.Rat).SetString(s)
		if !ok {
			if strings.Trim(s, "-.") == "" {
				return // no digits at all: zero
			}
			t.Fatalf("%q is taken for %s", s, got)
		}
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(typ.Scale)), nil)))
		if !want.IsInt() || want.Num().Cmp(got) != 0 || len(new(big.Int).Abs(got).String()) > int(typ.Width) && got.Sign() != 0 {
			t.Errorf("%q as %s: %s", s, typ, got)
		}
	})
}

func TestTimeTZ(t *testing.T) {
	for s, want := range map[string]uint64{
		"00:00:00+00":              57599,
		"24:00:00-15:59:59":        86_400_000_000<<24 | 57599*2,
		"12:00:00.000001+15:59:59": 43_200_000_001 << 24,
	} {
		if got, ok := timeTZ([]byte(s)); !ok || got != want {
			t.Errorf("%s: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "12:00:00", "12:00:00+", "12:00:00+0", "12:00:00+16", "24:00:00.1+00", "aa:00:00+00", "12:00:00+01:", "12:00:00+01:5", "12:00:00+01x00"} {
		if got, ok := timeTZ([]byte(s)); ok {
			t.Errorf("%q is taken for %d", s, got)
		}
	}
}
