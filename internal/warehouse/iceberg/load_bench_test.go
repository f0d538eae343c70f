package iceberg

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// benchTables is how many tables a batch of the benchmarks goes into.
const benchTables = 20

// benchBatch has rows of events in typed tables, each with ten properties.
func benchBatch(at, rows uint64) *warehouse.Batch {
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "user_id", Type: table.String}, {Name: "uuid_ts", Type: table.Timestamp}}
	for i, kind := range []table.Type{table.String, table.Integer, table.Float, table.Boolean, table.Timestamp, table.String, table.Integer, table.String, table.Float, table.String} {
		columns = append(columns, table.Column{Name: "p" + strconv.Itoa(i), Type: kind, Path: "properties.p" + strconv.Itoa(i)})
	}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: faultLog, From: at, To: at + rows, ReceivedThrough: int64(at)}
	for i := range benchTables {
		b.Tables = append(b.Tables, &table.Batch{Name: fmt.Sprintf("event_%02d", i), Columns: columns})
	}
	for o := at; o < at+rows; o++ {
		n := int64(o)
		cells := []table.Cell{{Col: 0, Value: table.Text(fmt.Sprintf("0b0e9fe0-%012d", o))}, {Col: 1, Value: table.Time(n)}, {Col: 2, Value: table.Text("user " + strconv.FormatInt(n%1000, 10))}}
		for i, c := range columns[4:] {
			v := table.Text("value " + strconv.FormatInt(n%97, 10))
			switch c.Type {
			case table.Integer:
				v = table.Int(n)
			case table.Float:
				v = table.Float64(float64(n) / 3)
			case table.Boolean:
				v = table.Bool(n%2 == 0)
			case table.Timestamp:
				v = table.Time(n)
			}
			cells = append(cells, table.Cell{Col: int32(4 + i), Value: v})
		}
		t := b.Tables[o%benchTables]
		t.Rows = append(t.Rows, table.Row{Cells: cells})
	}
	return b
}

// BenchmarkLoad loads batches into twenty typed tables, each in one commit: of few rows, which tells what a load costs, and of many. It reports
// events a second and the peak of the process' memory so far, that of the engine among it.
func BenchmarkLoad(b *testing.B) {
	for _, rows := range []uint64{200, 20_000, 200_000} {
		b.Run(strconv.FormatUint(rows, 10), func(b *testing.B) {
			s := newStand(b, b.TempDir())
			if _, err := s.DB.Load(b.Context(), benchBatch(0, benchTables)); err != nil { // makes the tables
				b.Fatal(err)
			}
			at, n := uint64(benchTables), 0
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				batch := benchBatch(at, rows)
				b.StartTimer()
				began := time.Now()
				if _, err := s.DB.Load(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(began)
				at, n = at+rows, n+int(rows)
			}
			b.ReportMetric(float64(n)/spent.Seconds(), "events/s")
			b.ReportMetric(peakMB(b), "peak-MB")
		})
	}
}

// peakMB is the most memory that the process has held so far, in MB; 0 where the system does not tell.
func peakMB(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}
