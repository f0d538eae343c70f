package name_test

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"firth/internal/name"
)

// TestNames runs the N rows of the specification: Segment's slug, and RudderStack's column on Postgres in both modes.
func TestNames(t *testing.T) {
	file, err := os.Open("testdata/names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain := name.Postgres().WithRudderStack(false)
	divided := name.Postgres().WithRudderStack(true)
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		count++
		fields := strings.Split(lines.Text(), "\t")
		id, in, segment, rudder, divide := fields[0], unquote(t, fields[1]), unquote(t, fields[2]), unquote(t, fields[3]), unquote(t, fields[4])
		t.Run(id, func(t *testing.T) {
			if got := name.Snake(in); got != segment {
				t.Errorf("Snake(%q) = %q, want %q", in, got, segment)
			}
			if got := column(plain, in); got != rudder {
				t.Errorf("RudderStack column of %q = %q, want %q", in, got, rudder)
			}
			if got := column(divided, in); got != divide {
				t.Errorf("RudderStack column of %q, divided = %q, want %q", in, got, divide)
			}
		})
	}
	if count != 130 {
		t.Errorf("%d names, want 130", count)
	}
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	out, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return out
}

// column is the name of a top-level property in a table of its own.
func column(r name.Rules, key string) string {
	got, _ := r.NewColumns().Name("properties." + key)
	return got
}

// TestTargets runs the P rows of the specification that are about one identifier.
func TestTargets(t *testing.T) {
	rudder := func(r name.Rules) name.Rules { return r.WithRudderStack(false) }
	divide := func(r name.Rules) name.Rules { return r.WithRudderStack(true) }
	table := func(r name.Rules, s string) string { _, tbl := r.EventTable(s); return tbl }
	nested := func(r name.Rules, s string) string { c, _ := r.NewColumns().Name(s); return c }
	p9 := ""
	for _, letter := range "abcdefg" {
		for i := 1; i <= 5; i++ {
			p9 += fmt.Sprintf("%c%d", letter, i)
		}
	}
	unreserved := rudder(name.Snowflake())
	unreserved.Reserved = nil
	tests := []struct{ id, got, want string }{
		{"P1", name.Redshift().Schema("3doctors"), "_3doctors"},
		{"P2", table(name.Redshift(), "101 account update"), "_101_account_update"},
		{"P3", table(name.Parquet(), "101 account update"), "101_account_update"},
		{"P4", column(name.Redshift(), "open"), "_open"},
		{"P5", column(rudder(name.Postgres()), "select"), "_select"},
		{"P5", column(rudder(name.Postgres()), "group"), "_group"},
		{"P5", column(rudder(name.Postgres()), "order"), "_order"},
		{"P6", column(rudder(name.Postgres()), "as"), "_as"},
		{"P6", column(rudder(name.Postgres()), "between"), "_between"},
		{"P6", nested(rudder(name.Postgres()), "context.traits.as"), "context_traits_as"},
		{"P7", column(rudder(name.Snowflake()), "SELECT"), "_SELECT"},
		{"P7", column(unreserved, "SELECT"), "SELECT"},
		{"P8", column(rudder(name.Postgres()), strings.Repeat("a", 70)), strings.Repeat("a", 63)},
		{"P9", column(divide(name.Postgres()), p9), "a_1_a_2_a_3_a_4_a_5_b_1_b_2_b_3_b_4_b_5_c_1_c_2_c_3_c_4_c_5_d_1"},
		{"P11", rudder(name.Postgres()).Schema("omega v2 "), "omega_v_2"},
		{"P12", rudder(name.Postgres()).Schema("9mega"), "_9_mega"},
		{"P13", rudder(name.Redshift()).Schema("group"), "_group"},
		{"P14", rudder(name.Postgres()).Schema("___"), "stringempty"},
		{"P15", rudder(name.Postgres()).Schema("k3_namespace"), "k_3_namespace"},
		{"P18", table(rudder(name.Postgres()), "groups"), "_groups"},
		{"P19", table(unreserved, "users"), "_USERS"},
		{"P20", table(rudder(name.Postgres()), "accounts"), "_accounts"},
		{"P26", nested(name.Redshift(), "context.campaign.medqIum"), "context_campaign_medq_ium"},
		{"P26", nested(rudder(name.Redshift()), "context.campaign.medqIum"), "context_campaign_medq_ium"},
		{"P27", nested(name.Redshift(), "context.campaign.caMpaign"), "context_campaign_ca_mpaign"},
		{"P27", nested(rudder(name.Redshift()), "context.campaign.caMpaign"), "context_campaign_ca_mpaign"},
		{"P28", nested(name.Redshift(), "properties.properties.id"), "properties_id"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.id, tt.got, tt.want)
		}
	}
}

// FuzzSnake compares Snake with the expression that defines it.
func FuzzSnake(f *testing.F) {
	for _, s := range []string{"", "fooBar", "@49L0S145_¬fwHƒ0TSLNVp", "___x", "x_", "a__b", "A1b2C3", "\x00\xff"} {
		f.Add(s)
	}
	match := regexp.MustCompile(`[A-Z0-9]+[a-z0-9]*|[a-z0-9]+`)
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ToLower(strings.Join(match.FindAllString(s, -1), "_"))
		got := name.Snake(s)
		if got != want {
			t.Errorf("Snake(%q) = %q, want %q", s, got, want)
		}
		if again := name.Snake(got); again != got {
			t.Errorf("Snake(%q) = %q: not idempotent", got, again)
		}
	})
}

func BenchmarkSnake(b *testing.B) {
	for b.Loop() {
		name.Snake("inviteYourCustomersAddInvites")
	}
}
