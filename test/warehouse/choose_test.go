package warehouse

import (
	"fmt"
	"strings"
	"testing"

	"firth/test/rig"
)

// TestSelectiveSync loads everything, then without a source, a table, a column and calls that choose other warehouses, then everything
// again: what is left out does not come, nor later by itself but for the source, which goes on where it was; and nothing that is there is
// changed or deleted.
func TestSelectiveSync(t *testing.T) {
	t.Parallel()
	d := postgres(t, "15")
	const two = sources + "  staging: { write_key: other }\n" + quick + "warehouses:\n"
	all := two + d.warehouse("analytics", d.url)
	some := two + d.warehouse("analytics", d.url, "sources: [production]", "tables: { exclude: [pages] }", `columns: { exclude: ["*.email"] }`)
	s := rig.New(t, all)
	for i, config := range []string{all, some, all} {
		s.Configure(s.Data, config)
		s.Start()
		n := i + 1
		send(t, s, strings.ReplaceAll(strings.Join([]string{
			`{"type":"identify","messageId":"i#","userId":"u","traits":{"email":"#@example.com","plan":"p#"}}`,
			`{"type":"page","messageId":"p#","userId":"u","name":"Home"}`,
			`{"type":"track","messageId":"t#","userId":"u","event":"Opened"}`,
			`{"type":"track","messageId":"yes#","userId":"u","event":"Opened","integrations":{"All":false,"Warehouses":{"warehouseIds":["analytics"]}}}`,
			`{"type":"track","messageId":"no#","userId":"u","event":"Opened","integrations":{"Warehouses":{"all":false}}}`,
			`{"type":"track","messageId":"other#","userId":"u","event":"Opened","integrations":{"All":false,"Warehouses":{"warehouseIds":["local"]}}}`,
		}, ","), "#", fmt.Sprint(n)))
		status, text, err := s.Post(t.Context(), "/v1/track", "other", []byte(fmt.Sprintf(`{"messageId":"s%d","userId":"u","event":"Opened"}`, n)))
		if err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, text, err)
		}
		s.Eventually(patience, "the lake to have everything", func() error {
			calls, err := s.Count("SELECT (SELECT count(*) FROM lake.production) + (SELECT count(*) FROM lake.staging)")
			if err == nil && calls != 7*n {
				err = fmt.Errorf("%d calls", calls)
			}
			return err
		})
		if r, err := load(t, s, "analytics"); err != nil || r.State != "success" {
			t.Fatalf("load %d: %+v, %v", n, r, err)
		}
		d.chosen(n)
		s.Stop()
	}
}

// chosen compares the tables after so many loads, of which the second was one that left things out.
func (d *target) chosen(loads int) {
	d.t.Helper()
	last := fmt.Sprintf("%d@example.com", loads)
	if loads == 2 {
		last = "1@example.com" // what was there stays
	}
	staging := []string{"s1", "-", "-"}
	if loads == 3 { // a source goes on where it was
		staging = []string{"s1", "s2", "s3"}
	}
	for query, want := range map[string][]string{
		"SELECT id FROM production.pages":                               {"p1", "-", "p3"},
		"SELECT id FROM staging.tracks":                                 staging,
		"SELECT id FROM production.tracks WHERE id LIKE 't%'":           {"t1", "t2", "t3"},
		"SELECT id FROM production.opened WHERE id LIKE 'yes%'":         {"yes1", "yes2", "yes3"},
		"SELECT id FROM production.tracks WHERE id ~ '^(no|other)'":     {"-", "-", "-"},
		"SELECT id FROM production.identifies WHERE email IS NOT NULL":  {"i1", "-", "i3"},
		"SELECT plan FROM production.identifies WHERE plan IS NOT NULL": {"p1", "p2", "p3"},
		"SELECT email FROM production.users WHERE plan IS NOT NULL":     nil,
	} {
		var ids []string
		for _, id := range want[:min(loads, len(want))] {
			if id != "-" {
				ids = append(ids, id)
			}
		}
		if want == nil {
			ids = []string{last}
		}
		var got []string
		for _, row := range d.must(query + " ORDER BY 1") {
			got = append(got, row[0])
		}
		if strings.Join(got, " ") != strings.Join(ids, " ") {
			d.t.Errorf("after load %d, %s: %q, want %q", loads, query, got, ids)
		}
	}
}
