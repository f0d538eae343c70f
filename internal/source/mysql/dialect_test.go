package mysql

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/vector"
)

func TestRelation(t *testing.T) {
	for text, want := range map[string]string{
		"users": "`shop`.`users`", "crm.users": "`crm`.`users`", "`a.b`": "`shop`.`a.b`", "crm.`a.b``c`": "`crm`.`a.b``c`", "a.b.c": "`a`.`b.c`",
		"": "", "a.": "", "`a": "", ".a": "", "`a`b": "", "`a`.`b`.`c`": "",
	} {
		r, ok := parseRelation(text, "shop")
		if ok != (want != "") || ok && r.quoted() != want {
			t.Errorf("%q: %s, %v; want %s", text, r.quoted(), ok, want)
		}
	}
}

func TestStatement(t *testing.T) {
	for _, c := range []struct {
		r    reading
		want string
	}{
		{reading{from: "`a`.`b`", columns: []string{"id", "o`dd"}}, "SELECT `id`, `o``dd` FROM `a`.`b`"},
		{reading{from: "`a`.`b`", columns: []string{"id"}, where: []string{userCondition("x = 1 -- one"), "`id` >= 5"}}, "SELECT `id` FROM `a`.`b` WHERE (x = 1 -- one\n) AND `id` >= 5"},
		{reading{query: "select 1"}, "select 1"},
		{reading{query: "select 1 as n -- one", columns: []string{"n"}, where: []string{"`n` > 0"}}, "SELECT `n` FROM (\nselect 1 as n -- one\n) AS firth WHERE `n` > 0"},
	} {
		if got := c.r.statement(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestFillIDs(t *testing.T) {
	for query, want := range map[string]string{
		"select * from t where id in (:ids)":                          "select * from t where id in (1, 2)",
		"select ':ids', `:ids`, \":ids\", 'it\\':ids' where a=(:ids)": "select ':ids', `:ids`, \":ids\", 'it\\':ids' where a=(1, 2)",
		"select 1 -- :ids\n, /* :ids */ :ids # :ids":                  "select 1 -- :ids\n, /* :ids */ 1, 2 # :ids",
		"select :idsx, x:=1, 5--:ids":                                 "select :idsx, x:=1, 5--1, 2",
	} {
		if got, found := fillIDs(query, "1, 2"); got != want || !found {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if _, found := fillIDs("select ':ids' -- :ids", "1"); found {
		t.Error("found where it is not")
	}
}

func TestConstants(t *testing.T) {
	text := func(s string) vector.Value { return vector.Value{Kind: vector.Text, Text: s} }
	number := vector.Value{Kind: vector.Int, Bits: 64, Num: -7}
	integer, words := vector.Type{Kind: vector.Int, Bits: 64}, vector.Type{Kind: vector.Text}
	for _, c := range []struct {
		v    vector.Value
		t    vector.Type
		want string
	}{
		{number, integer, "-7"}, {number, words, "'-7'"}, {text("7"), integer, "7"}, {text("07"), integer, ""}, {text("7x"), integer, ""}, {text("1 or 1=1"), integer, ""},
		{text("it's\\"), words, `'it\'s\\'`}, {vector.Value{Kind: vector.Uint, Bits: 64, Num: -1}, integer, "18446744073709551615"},
		{vector.Value{Kind: vector.Decimal, Text: "1.50"}, vector.Type{Kind: vector.Decimal}, "1.50"}, {vector.Value{Kind: vector.Decimal, Text: "NaN"}, vector.Type{Kind: vector.Decimal}, ""},
		{vector.Value{Kind: vector.Timestamp, Num: -1}, vector.Type{Kind: vector.Timestamp}, "'1969-12-31 23:59:59.999999'"}, {vector.Value{Kind: vector.Timestamp, Num: vector.PosInfinity}, vector.Type{Kind: vector.Timestamp}, ""},
		{vector.Value{Kind: vector.Date, Num: 19782}, vector.Type{Kind: vector.Date}, "'2024-02-29'"}, {vector.Value{Kind: vector.Blob, Text: "\x00\xff"}, vector.Type{Kind: vector.Blob}, "x'00ff'"},
		{vector.Value{Kind: vector.Float, Bits: 64, Num: int64(math.Float64bits(0.1))}, vector.Type{Kind: vector.Float, Bits: 64}, "1e-01"}, {vector.Value{Kind: vector.Float, Bits: 64, Num: int64(math.Float64bits(7))}, integer, ""},
	} {
		got, ok := constantOf(c.v, c.t)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%+v for %s: %s, %v; want %s", c.v, c.t, got, ok, c.want)
		}
	}
}

// TestCut: the pieces leave no key out and hold none twice, up to the ends of the types, and stay when the table grows a little.
func TestCutPieces(t *testing.T) {
	for _, c := range []struct {
		kind        vector.Kind
		least, most int64
	}{{vector.Int, 1, 1000}, {vector.Int, -500, 500}, {vector.Int, math.MinInt64, math.MaxInt64}, {vector.Uint, 0, -1}, {vector.Uint, -100, -1}, {vector.Int, 7, 7}, {vector.Int, math.MaxInt64 - 3, math.MaxInt64}} {
		for _, pieces := range []int{1, 2, 7, 64} {
			list := cut("id", vector.Type{Kind: c.kind, Bits: 64}, c.least, c.most, pieces)
			if len(list) > 2*pieces+1 || list[0].Lo.Kind != vector.Null || list[len(list)-1].Hi.Kind != vector.Null {
				t.Errorf("%+v in %d: %d pieces, %+v", c, pieces, len(list), list)
			}
			for i := 1; i < len(list); i++ {
				before, after := list[i-1].Hi, list[i].Lo
				less := list[i-1].Lo.Kind == vector.Null || list[i-1].Lo.Num < before.Num
				if c.kind == vector.Uint && list[i-1].Lo.Kind != vector.Null {
					less = uint64(list[i-1].Lo.Num) < uint64(before.Num)
				}
				if before != after || after.Kind != c.kind || !less {
					t.Errorf("%+v in %d: %+v then %+v", c, pieces, list[i-1], list[i])
				}
			}
		}
	}
	before, after := cut("id", vector.Type{Kind: vector.Int}, 1, 100000, 8), cut("id", vector.Type{Kind: vector.Int}, 1, 100300, 8)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%v\n%v", before, after)
	}
	if before[1].Label != "id from 16384 to 32767" {
		t.Errorf("label %q", before[1].Label)
	}
}

func TestNoSecret(t *testing.T) {
	for _, url := range []string{"mysql://u:s3cret@h:1/d?x=%zz", "mysql://u:s3cret@h:99999999/d", "mysql://u:s3c%ret@h/d", "u:s3cret@tcp(h/d", "http://u:s3cret@h", "mysql://u:s3cret@h/d?collation=no&tls=s3cret", "s3cret", "mysql://u:s3c?timeout=s3cret@h/d", "mysql://u:p/w?timeout=s3cret@h"} {
		if _, _, err := parseURL(url, source.Options{Name: "shop"}); err != nil && (strings.Contains(err.Error(), "s3c") || strings.Contains(err.Error(), "ret@")) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func FuzzGeometry(f *testing.F) {
	point := binary.LittleEndian.AppendUint32(nil, 4326)
	point = binary.LittleEndian.AppendUint32(append(point, 1), 1)
	point = binary.LittleEndian.AppendUint64(point, math.Float64bits(1.5))
	f.Add(binary.LittleEndian.AppendUint64(point, math.Float64bits(-2)))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01\x01\x03\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x01\x04\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		text, ok := appendWKT(nil, b)
		if ok && len(text) == 0 {
			t.Errorf("%x is nothing", b)
		}
	})
}

func FuzzTimes(f *testing.F) {
	for _, s := range []string{"2024-02-29", "0000-00-00 00:00:00", "-838:59:59.999999", "2025-00-15 01:02:03", "9999-12-31 23:59:59.999999", "12:34"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []struct {
			kind  vector.Kind
			parse parser
		}{{vector.Date, parseDate}, {vector.Timestamp, parseTimestamp}, {vector.Interval, parseTime}, {vector.Decimal, parseDecimal}, {vector.UUID, parseUUID}, {vector.Uint, parseUint}} {
			v := vector.New(vector.Type{Kind: c.kind, Bits: 64})
			if reason := c.parse(b, v); v.Len() != 1 || v.Valid[0] != (reason == "") {
				t.Errorf("%q as %s: %q", b, v.Type, reason)
			}
		}
	})
}
