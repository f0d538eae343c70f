package warehousetest

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

var mirrorForgets = []mirrorBehaviour{
	{"forget in a history", testMirrorForgetHistory},
	{"forget in a table", testMirrorForgetTable},
	{"forget what is not there", testMirrorForgetNothing},
}

// mirrorForgetter is a warehouse of mirrors that can forget people.
type mirrorForgetter interface {
	ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error)
}

// ForgetMirror hands the order to the warehouse.
func (a adapted) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	if a.forgets == nil {
		return nil, errors.New("the warehouse cannot forget people in mirrors")
	}
	return a.forgets.ForgetMirror(ctx, f)
}

func (b *mirrorBench) forget(values ...string) *warehouse.ForgottenMirror {
	b.t.Helper()
	f, ok := b.Target.(mirrorForgetter)
	if !ok {
		b.t.Fatal("the warehouse cannot forget people in mirrors")
	}
	out, err := f.ForgetMirror(b.t.Context(), warehouse.ForgetMirror{Table: b.at, Values: values})
	if err != nil {
		b.t.Fatalf("forget: %v", err)
	}
	return out
}

func reject(key, value string) warehouse.MirrorReject {
	return warehouse.MirrorReject{Key: key, Column: "name", Value: value, Reason: "test", At: moment(0)}
}

func testMirrorForgetHistory(t *testing.T, b *mirrorBench) {
	columns := []vector.Column{columnOf("id", number()), columnOf("owner", text()), columnOf("name", text())}
	p := warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, History: true, Deletes: 1}
	b.publish(p, columns, []any{1, "ann", "a"}, []any{2, "bob", "b"}, []any{3, "bob", "c"}, []any{44, "cat", "d"})
	b.publish(p, columns, []any{1, "ann", "a2"}, []any{2, "bob", "b2"}, []any{3, "ann", "c"}, []any{44, "cat", "d2"})
	p.Rejects = []warehouse.MirrorReject{reject("1", "x"), reject("44", "y"), reject("9, ann", "z"), reject("5", "ann"), reject("5", "anna"), reject("441", "w")}
	b.publish(p, columns, []any{1, "bob", "a3"}, []any{3, "bob", "c3"})
	all := append(append([]vector.Column{}, columns...), columnOf(warehouse.ValidTo, vector.Type{Kind: vector.TimestampTZ}))
	out := b.forget("ann", "44")
	want := []string{"1|bob|a3|~", "2|bob|b2|~", "2|bob|b|" + momentText(2), "3|bob|c3|~", "3|bob|c|" + momentText(2), "44|cat|d2|~"}
	b.wantIn(b.table(""), all, want...)
	rejects := []vector.Column{columnOf("key", text()), columnOf("value", text())}
	b.wantIn(b.table(warehouse.RejectsSuffix), rejects, "1|x", "5|anna", "441|w")
	if out.Present != 1 {
		t.Errorf("%d rows of the present, want that of 44", out.Present)
	}
	if n, r := out.Rows["company.people"], out.Rows["company.people"+warehouse.RejectsSuffix]; n != 4 || r != 3 {
		t.Errorf("rows %v, want 4 of the past and 3 rejects", out.Rows)
	}
	if !out.Erased && len(out.Notices) == 0 {
		t.Error("something is left, and no notice says where")
	}
	if again := b.forget("ann", "44"); len(again.Rows) > 0 {
		t.Errorf("rows %v of a second call", again.Rows)
	}
	b.MirrorTarget = b.Reopen(t)
	b.wantIn(b.table(""), all, want...)
	// The mirror goes on.
	p.Rejects = nil
	b.wantDone(b.publish(p, columns, []any{1, "bob", "a3"}, []any{2, "bob", "b3"}), 0, 1, 0, 1)
}

// testMirrorForgetTable: what the source still has stays, and is counted, whatever type says who it is.
func testMirrorForgetTable(t *testing.T, b *mirrorBench) {
	const uuid = "0b0e9fe0-0000-4000-8000-00000000abcd"
	columns := []vector.Column{
		columnOf("id", number()), columnOf("name", text()), columnOf("n", vector.Type{Kind: vector.Float, Bits: 64}), columnOf("u", vector.Type{Kind: vector.UUID}), columnOf("at", vector.Type{Kind: vector.Date}), columnOf("ok", vector.Type{Kind: vector.Bool}),
	}
	other := uuidOf(t, "0b0e9fe0-0000-4000-8000-00000000ffff")
	p := warehouse.Publication{
		Mode: warehouse.PublishReplace, Key: []string{"id"}, Deletes: 1, Rejects: []warehouse.MirrorReject{reject("1", uuid), reject("2", "17"), reject("3", "x")},
	}
	b.publish(p, columns, []any{17, "a", 1.5, other, 1, true}, []any{2, "17", 2.5, other, 1, true}, []any{3, "b", 17.0, other, 17, true}, []any{4, "c", 17.5, uuidOf(t, uuid), 1, false},
		[]any{170, "117", 0.17, other, 17, true}, []any{6, nil, nil, nil, nil, nil})
	out := b.forget("17", "0B0E9FE0-0000-4000-8000-00000000ABCD", "true", "not a number", uuid)
	if out.Present != 4 || out.Rows["company.people"] != 0 {
		t.Errorf("%d rows of the present and %v removed, want 4 and none", out.Present, out.Rows)
	}
	if n := b.count(b.table("")); n != 6 {
		t.Errorf("%d rows are left of 6", n)
	}
	b.wantIn(b.table(warehouse.RejectsSuffix), []vector.Column{columnOf("key", text())}, "3")
	b.publish(p, columns, []any{1, "a", 1.5, other, 1, true})
}

func testMirrorForgetNothing(t *testing.T, b *mirrorBench) {
	for range 2 {
		if out := b.forget("ann"); out.Present != 0 || len(out.Rows) > 0 {
			t.Errorf("%+v where nothing is", out)
		}
		s := b.stage(persons())
		b.write(s, chunkOf(persons(), []any{1, "ann"}, []any{2, "bob"}))
		if out := b.forget("ann"); out.Present > 1 || len(out.Rows) > 0 {
			t.Errorf("%+v where one row is staged", out)
		}
		if err := s.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// uuidOf are the bytes of a UUID.
func uuidOf(t *testing.T, text string) []byte {
	t.Helper()
	out, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
