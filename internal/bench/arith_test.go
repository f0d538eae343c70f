package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestFlatness(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"nothing", nil, 0},
		{"too few", []float64{1, 2}, 0},
		{"flat", []float64{9, 5, 5, 5, 5, 5}, 1},
		{"the beginning does not count", []float64{1, 1, 4, 4, 4, 4}, 1},
		{"doubled", []float64{1, 1, 2, 2, 4, 4}, 2},
		{"halved", []float64{1, 1, 8, 8, 4, 4}, 0.5},
		{"not a multiple of three", []float64{1, 2, 4, 4, 7, 8, 8}, 2},
		{"from zero", []float64{0, 0, 0, 0, 1, 1}, 0},
	} {
		if got := flatness(tt.values); got != tt.want {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestSlope(t *testing.T) {
	var samples []Sample
	for i := range 10 {
		samples = append(samples, Sample{At: time.Duration(i) * time.Second, Rows: int64(100 * i * i)})
	}
	rows := func(s Sample) float64 { return float64(s.Rows) }
	for _, tt := range []struct {
		from, to time.Duration
		want     float64
	}{
		{0, time.Minute, 900},                   // 8,100 rows in 9 s
		{2 * time.Second, 5 * time.Second, 600}, // from 400 at 2 s to 1,600 at 4 s
		{2 * time.Second, 3 * time.Second, 0},   // one sample
		{time.Hour, 2 * time.Hour, 0},
	} {
		if got := slope(samples, tt.from, tt.to, rows); got != tt.want {
			t.Errorf("from %s to %s: %g, want %g", tt.from, tt.to, got, tt.want)
		}
	}
	if got := between(samples, time.Second, 3*time.Second, rows); len(got) != 2 || got[0] != 100 || got[1] != 400 {
		t.Errorf("between: %v", got)
	}
}

func TestQuantileAndMiddle(t *testing.T) {
	for _, tt := range []struct{ q, want float64 }{{0, 1}, {0.5, 3}, {0.99, 5}, {1, 5}} {
		if got := quantile([]float64{5, 1, 4, 2, 3}, tt.q); got != tt.want {
			t.Errorf("quantile %g: %g, want %g", tt.q, got, tt.want)
		}
	}
	if quantile(nil, 0.5) != 0 || middle(nil) != 0 {
		t.Error("nothing has a middle")
	}
	if got := middle([]time.Duration{4, 1, 3, 2}); got != 2 { // of 2.5
		t.Errorf("middle of four: %d", got)
	}
	if got := middle([]time.Duration{9, 1, 3}); got != 3 {
		t.Errorf("middle of three: %d", got)
	}
}

func TestArrivals(t *testing.T) {
	at := time.Unix(0, 0)
	a := &arrivals{goal: 1000}
	for _, step := range []struct {
		after time.Duration
		n     int64
		done  bool
	}{
		{0, 100, false}, // what was there before
		{5 * time.Second, 100, false},
		{6 * time.Second, 200, false}, // the first chunk: it made the tables, and is not timed
		{8 * time.Second, 600, false},
		{9 * time.Second, 600, false},
		{10 * time.Second, 1000, true},
	} {
		if done := a.note(step.n, at.Add(step.after)); done != step.done {
			t.Errorf("after %s: done %t", step.after, done)
		}
	}
	if got := a.rate(); got != 200 {
		t.Errorf("%g rows a second, want 200", got)
	}
	one := &arrivals{goal: 10}
	one.note(0, at)
	if !one.note(10, at.Add(time.Second)) || one.rate() != 0 {
		t.Errorf("one step has no rate, got %g", one.rate())
	}
}

func TestProberBooksDelays(t *testing.T) {
	at := time.Unix(0, 0)
	ms := func(n int) time.Time { return at.Add(time.Duration(n) * time.Millisecond) }
	p := &prober{}
	for i := range 4 {
		p.probes = append(p.probes, probe{called: ms(100 * i), answered: ms(100*i + 10)})
	}
	p.note(inTyped, 0, ms(500), ms(510)) // nothing yet
	p.note(inTyped, 2, ms(600), ms(610)) // 0 and 1
	p.note(inTyped, 2, ms(700), ms(710)) // the same again changes nothing
	p.note(inTyped, 3, ms(800), ms(810))
	if n := p.unseen(inTyped); n != 1 {
		t.Errorf("%d unseen, want 1", n)
	}
	if n := p.unseen(inLake); n != 4 {
		t.Errorf("%d unseen in the lake, want 4", n)
	}
	call, answer := p.delays(inTyped)
	if call.total != 3 || call.max != int64(610*time.Millisecond) || answer.max != int64(600*time.Millisecond) {
		t.Errorf("from the call %d, max %d; from the answer max %d", call.total, call.max, answer.max)
	}
	if got := call.quantile(0.5); math.Abs(float64(got-610*time.Millisecond)) > float64(10*time.Millisecond) { // 510, 610, 610
		t.Errorf("median %s", got)
	}
	p.note(inTyped, 99, ms(900), ms(910)) // of another run, say: never beyond what was sent
	if n := p.unseen(inTyped); n != 0 {
		t.Errorf("%d unseen at the end", n)
	}
}

func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		finding Finding
		met     bool
		verdict string
	}{
		{Finding{Measured: 5}, true, ""},
		{Finding{Measured: 5, Goal: atMost(5)}, true, "≤ 5.00"},
		{Finding{Measured: 5.1, Goal: atMost(5)}, false, "≤ 5.00 !"},
		{Finding{Measured: 11, Baseline: 10, Goal: ratioAtMost(1.1)}, true, "≤ 1.10"},
		{Finding{Measured: 12, Baseline: 10, Goal: ratioAtMost(1.1)}, false, "≤ 1.10 !"},
		{Finding{Measured: 9, Baseline: 10, Goal: ratioAtLeast(0.9)}, true, "≥ 0.90"},
		{Finding{Measured: 8, Baseline: 10, Goal: ratioAtLeast(0.9)}, false, "≥ 0.90 !"},
		{Finding{Measured: 8, Goal: ratioAtLeast(0.9)}, false, "≥ 0.90 !"}, // without a baseline nothing is shown
	} {
		if tt.finding.Met() != tt.met || tt.finding.verdict() != tt.verdict {
			t.Errorf("%+v: met %t, %q", tt.finding, tt.finding.Met(), tt.finding.verdict())
		}
	}
}

func TestParseMetrics(t *testing.T) {
	got, err := parseMetrics(strings.NewReader("# HELP a words\n# TYPE a counter\na 1.5\nb{x=\"1\"} 2\nb{x=\"2\"} 3e6\n\n"))
	if err != nil || len(got) != 2 || got["a"] != 1.5 || got["b"] != 3000002 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseMetrics(strings.NewReader("a b\n")); err == nil {
		t.Error("a value that is no number was taken")
	}
}

// Bodies of one salt never have an id twice, and those of two salts have none in common.
func TestBodiesDiffer(t *testing.T) {
	seen := map[string]bool{}
	const marker = `"messageId":"`
	for salt := range uint64(2) {
		bodies := NewBodies(50, salt, 0)
		for range 200 {
			text := string(bodies.Next(time.Now()))
			for i := strings.Index(text, marker); i >= 0; i = strings.Index(text, marker) {
				id := text[i+len(marker) : i+len(marker)+36]
				if seen[id] {
					t.Fatalf("id %s twice", id)
				}
				seen[id] = true
				text = text[i+len(marker):]
			}
		}
	}
	if len(seen) != 2*200*50 {
		t.Errorf("%d ids", len(seen))
	}
}

func TestQuestionsHaveAnEvent(t *testing.T) {
	name, table := planEvent()
	if name == "" || strings.ToLower(name) != strings.ReplaceAll(table, "_", " ") {
		t.Errorf("event %q, table %q", name, table)
	}
}
