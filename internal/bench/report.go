package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is everything that a benchmark run measured.
type Report struct {
	Machine     Machine       `json:"machine"`
	Connections int           `json:"connections"`
	Rounds      int           `json:"rounds"`
	Warmup      time.Duration `json:"warmup_ns"`
	Duration    time.Duration `json:"duration_ns"`
	Rows        []Row         `json:"rows"`
}

// Row is one load on both servers, all runs.
type Row struct {
	Load  Load        `json:"load"`
	Bare  []RunResult `json:"bare"`
	Firth []RunResult `json:"firth"`
}

// Ratio is the rate of the server as a share of the bare server's.
func (r Row) Ratio() float64 {
	bare := median(r.Bare, RunResult.rate)
	if bare == 0 {
		return 0
	}
	return median(r.Firth, RunResult.rate) / bare
}

func (r Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeText prints the report for a terminal of 80 columns.
func (r Report) writeText(w io.Writer) error {
	b := bufio.NewWriter(w)
	p := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) } // the first error stays in b
	p("")
	p("Ingest: the server beside a bare one that appends, fsyncs and parses nothing")
	p("")
	r.Machine.print(p)
	p("  load     events of %.0f bytes on %d connections; generator on the same cores", r.body(), r.Connections)
	p("  runs     medians of %d of %s, the servers in turn, after %s of warm-up", r.Rounds, r.Duration, r.Warmup)
	p("           load average before the first run: %s", r.Machine.Load)
	p("")
	r.writeRates(p)
	r.writeCosts(p)
	r.writeArrivals(p)
	r.writeFaults(p)
	return b.Flush()
}

// body returns the mean size of an event.
func (r Report) body() float64 {
	for _, row := range r.Rows {
		return median(row.Bare, func(x RunResult) float64 { return x.Generator.Body / float64(row.Load.Batch) })
	}
	return 0
}

func (r Report) writeRates(p func(string, ...any)) {
	p("                 bare: latency in ms          firth: latency in ms")
	p("load           events/s   p50    p99     events/s   p50    p99    max  ratio")
	for _, row := range r.Rows {
		ms := func(runs []RunResult, f func(Result) time.Duration) string {
			return millis(time.Duration(median(runs, func(x RunResult) float64 { return float64(f(x.Generator)) })))
		}
		p50 := func(x Result) time.Duration { return x.P50 }
		p99 := func(x Result) time.Duration { return x.P99 }
		p("%-14s%9s%6s%7s%13s%6s%7s%7s%7.2f", row.Load.Name,
			count(median(row.Bare, RunResult.rate)), ms(row.Bare, p50), ms(row.Bare, p99),
			count(median(row.Firth, RunResult.rate)), ms(row.Firth, p50), ms(row.Firth, p99),
			ms(row.Firth, func(x Result) time.Duration { return x.Max }), row.Ratio())
	}
	p("")
}

func (r Report) writeCosts(p func(string, ...any)) {
	p("                  CPU µs an event            peak MB        bytes an event")
	p("load            bare  collect   rest   all  parent  child  journal  lake  disk")
	for _, row := range r.Rows {
		cpu := func(runs []RunResult, f func(RunResult) (time.Duration, int64)) float64 {
			return median(runs, func(x RunResult) float64 {
				d, n := f(x)
				return ratio(float64(d)/1e3, n)
			})
		}
		load := func(x RunResult) (time.Duration, int64) { return x.Load.Parent.CPU, x.Generator.Events }
		total := func(x RunResult) (time.Duration, int64) {
			return x.Total.Parent.CPU + x.Total.Child.CPU, x.Generator.Accepted
		}
		size := func(f func(RunResult) int64) string {
			return count(median(row.Firth, func(x RunResult) float64 { return ratio(float64(f(x)), x.Generator.Accepted) }))
		}
		peak := func(f func(RunResult) int64) float64 {
			return median(row.Firth, func(x RunResult) float64 { return float64(f(x)) / 1e6 })
		}
		all, collect := cpu(row.Firth, total), cpu(row.Firth, load)
		p("%-14s%6s%9s%7s%6s%8.0f%7.0f%9s%6s%6s", row.Load.Name,
			short(cpu(row.Bare, load)), short(collect), short(all-collect), short(all),
			peak(func(x RunResult) int64 { return x.Total.Parent.Peak }), peak(func(x RunResult) int64 { return x.Total.Child.Peak }),
			size(func(x RunResult) int64 { return x.JournalBytes }), size(func(x RunResult) int64 { return x.LakeBytes }),
			size(func(x RunResult) int64 { return x.Total.Parent.Written + x.Total.Child.Written }))
	}
	p("")
	p("  bare, collect: the process that answers, while the load was measured; rest:")
	p("  what lake, tables and all else cost beyond it until every row had arrived;")
	p("  disk: everything that both processes wrote; lake: Parquet files at rest")
	p("")
}

func (r Report) writeArrivals(p func(string, ...any)) {
	p("                  acknowledged   all in the lake      all in the tables")
	p("load                    events    after   events/s     after   events/s")
	for _, row := range r.Rows {
		if len(row.Firth) == 0 {
			continue
		}
		accepted := median(row.Firth, func(x RunResult) float64 { return float64(x.Generator.Accepted) })
		cells := []any{row.Load.Name, count(accepted)}
		for _, f := range []func(RunResult) (int64, time.Duration){
			func(x RunResult) (int64, time.Duration) { return x.LakeRows, x.Lake },
			func(x RunResult) (int64, time.Duration) { return x.TableRows, x.Tables },
		} {
			after := median(row.Firth, func(x RunResult) float64 { _, d := f(x); return d.Seconds() })
			rows := median(row.Firth, func(x RunResult) float64 { n, _ := f(x); return float64(n) })
			cells = append(cells, fmt.Sprintf("%.1f s", after), count(rows/(after+(r.Warmup+r.Duration).Seconds())))
		}
		p("%-14s%16s%9s%11s%10s%11s", cells...)
	}
	p("")
	p("  after: from the end of the load; events/s: over load and wait together")
}

// writeFaults names everything that did not go as it should.
func (r Report) writeFaults(p func(string, ...any)) {
	for _, row := range r.Rows {
		for i, run := range slices.Concat(row.Bare, row.Firth) {
			name := "firth"
			if i < len(row.Bare) {
				name = "bare"
			}
			for _, what := range slices.Sorted(maps.Keys(run.Generator.Failed)) {
				p("  ! %s, %s: %s x %s", name, row.Load.Name, count(float64(run.Generator.Failed[what])), what)
			}
			if run.Generator.Refusal != "" {
				p("    %s", run.Generator.Refusal[headLength([]byte(run.Generator.Refusal)):])
			}
			if a := run.Arrival; name == "firth" && !a.Complete {
				p("  ! firth, %s: of %s acknowledged events %s rows in the lake and %s in the tables when the wait ended", row.Load.Name,
					count(float64(run.Generator.Accepted)), count(float64(a.LakeRows)), count(float64(a.TableRows)))
			}
		}
	}
}

// ratio returns v/n, 0 when there is nothing to divide by.
func ratio(v float64, n int64) float64 {
	if n == 0 {
		return 0
	}
	return v / float64(n)
}

// millis prints milliseconds with as many digits as tell something.
func millis(d time.Duration) string {
	ms := float64(d) / 1e6
	if ms < 1 {
		return fmt.Sprintf("%.2f", ms)
	}
	return short(ms)
}

// short prints a number with one decimal place where it is below a hundred.
func short(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// count prints a whole number with a comma between the thousands.
func count(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
