package infer

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"firth/internal/document"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mixed are documents with something of everything that a report tells.
func mixed(t testing.TB) []document.Value {
	docs := parse(t,
		`{"_id":"u1","name":"Ana","age":31,"active":1,"balance":12.5,"zip":"10115","born":"1990-01-02","address":{"city":"Berlin","geo":{"lat":52.5}},"tags":["a","b"],"items":[{"sku":"x"}]}`,
		`{"_id":"u2","name":"Bo","age":"n/a","active":0,"balance":3,"zip":"20095","born":"","address":{},"address_city":"Hamburg","items":[]}`,
		`{"_id":"u3","name":null,"age":28,"active":1,"total":1,"zip":"","born":"2001-05-06","address":"unknown","note":"a very long text with\nline breaks, to see that it is cut off where the screen ends, or before it does"}`,
		`{"_id":"u4","name":"Di","age":40,"active":1,"total":2.0,"weird.key":1,"nothing":null}`)
	docs[3].Fields = append(docs[3].Fields, document.Field{Name: "at", Value: val(document.DateTime, 1704164645678, "")},
		document.Field{Name: "amount", Value: val(document.Decimal, 0, "12.50")}, document.Field{Name: "old", Value: bin(3, sixteen)})
	docs[2].Fields = append(docs[2].Fields, document.Field{Name: "at", Value: val(document.DateTime, math.MinInt64, "")},
		document.Field{Name: "rate", Value: dbl(7)})
	return docs
}

func TestReportText(t *testing.T) {
	r := count(Options{Threshold: 0.7, ArraysAsTables: []string{"items"}}, mixed(t)).Report()
	got := r.Text()
	golden := filepath.Join("testdata", "report.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "report", got, string(want))
	for line := range strings.SplitSeq(got, "\n") {
		if utf8.RuneCountInString(line) > textWidth && !strings.HasPrefix(line, "  ") {
			t.Errorf("wider than %d: %s", textWidth, line)
		}
	}
}

func TestReportJSON(t *testing.T) {
	b, err := json.Marshal(count(Options{Threshold: 0.7}, mixed(t)).Report())
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	f := field(t, &back, "age")
	if f.Counts["int64"] != 3 || f.Counts["string"] != 1 || f.Probability != 0.75 || f.Min != "28" || f.Max != "40" || f.Losing[0].Examples[0].ID != "u2" {
		t.Errorf("age: %+v", f)
	}
	if f := field(t, &back, "name"); f.Counts["null"] != 1 || f.Missing != 0 || f.MaxLength != 3 || f.Distinct != 3 {
		t.Errorf("name: %+v", f)
	}
}

func TestEstimateOfDifferentValues(t *testing.T) {
	for _, n := range []int{1, 10, 300, 5000, 200_000} {
		var s sketch
		for i := range n {
			v := val(document.Int64, int64(i), "")
			s.add(hashScalar(&v))
			s.add(hashScalar(&v))
		}
		if got := s.estimate(); math.Abs(float64(got)-float64(n)) > 0.15*float64(n)+0.5 {
			t.Errorf("%d for %d different values", got, n)
		}
	}
}
