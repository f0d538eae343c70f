package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
)

// width is that of the terminal for which everything is laid out.
const width = 80

// printer writes for people. The first error stays in err and ends all writing.
type printer struct {
	out      io.Writer
	terminal bool
	err      error
}

func (p *printer) print(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.out, text)
	}
}

func (p *printer) line(format string, args ...any) {
	p.print(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// style puts text between the terminal's codes, where there is a terminal.
func (p *printer) style(code, text string) string {
	if !p.terminal || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

const (
	bold  = "1"
	faint = "2"
	blue  = "34"
)

func (p *printer) title(format string, args ...any) {
	p.line("%s", p.style(bold, fmt.Sprintf(format, args...)))
}

// fact is one line of what the demo is made of.
func (p *printer) fact(name, format string, args ...any) {
	p.line("  %s%s", p.style(faint, fmt.Sprintf("%-9s", name)), fmt.Sprintf(format, args...))
}

// answer prints a question, its SQL and the answer, with a bar for the column that the question is about.
func (p *printer) answer(number int, q Question, a Answer, took time.Duration) {
	p.line("")
	p.line("%s", p.style(faint, strings.Repeat("─", width)))
	for i, l := range wrap(q.Title, width-4) {
		head := "   "
		if i == 0 {
			head = fmt.Sprintf("%d  ", number)
		}
		p.title("%s%s", head, l)
	}
	p.line("")
	for _, l := range strings.Split(q.SQL, "\n") {
		p.line("   %s", p.style(blue, l))
	}
	p.line("")
	p.table(a)
	p.line("")
	p.line("   %s", p.style(faint, fmt.Sprintf("%d rows in %s ms", len(a.Rows), strconv.FormatInt(took.Milliseconds(), 10))))
	for _, l := range wrap(q.Note, width-4) {
		p.line("   %s", p.style(faint, l))
	}
}

// table prints an answer: texts to the left, numbers to the right, and to the right of all a bar for the last number or, where
// there is one, for the column named events.
func (p *printer) table(a Answer) {
	columns, bars := make([][]string, len(a.Columns)), []float64(nil)
	numeric := make([]bool, len(a.Columns))
	for c := range a.Columns {
		values := make([]float64, len(a.Rows))
		columns[c], numeric[c] = format(a.Rows, c, values)
		if numeric[c] && (bars == nil || a.Columns[c] == "percent") {
			bars = values
		}
	}
	widths, total := make([]int, len(columns)), 3
	for c, name := range a.Columns {
		widths[c] = utf8.RuneCountInString(name)
		for _, cell := range columns[c] {
			widths[c] = max(widths[c], utf8.RuneCountInString(cell))
		}
		total += widths[c] + 3
	}
	head, rule := "   ", "   "
	for c, name := range a.Columns {
		head += pad(name, widths[c], numeric[c]) + "   "
		rule += strings.Repeat("─", widths[c]) + "   "
	}
	p.line("%s", p.style(faint, strings.TrimRight(head, " ")))
	p.line("%s", p.style(faint, strings.TrimRight(rule, " ")))
	for r := range a.Rows {
		line := "   "
		for c := range columns {
			line += pad(columns[c][r], widths[c], numeric[c]) + "   "
		}
		if bars != nil {
			line += p.style(blue, drawBar(bars, r, width-total))
		}
		p.line("%s", line)
	}
}

// format returns the cells of a column as they are printed and whether they are numbers, which are put in values.
func format(rows [][]string, c int, values []float64) (cells []string, numeric bool) {
	places := 0
	for r, row := range rows {
		v, err := strconv.ParseFloat(row[c], 64)
		if err != nil {
			for _, row := range rows {
				cells = append(cells, row[c])
			}
			return cells, false
		}
		values[r] = v
		if _, fraction, ok := strings.Cut(row[c], "."); ok {
			places = max(places, len(fraction))
		}
	}
	for _, v := range values {
		if places == 0 {
			cells = append(cells, count(int(v)))
			continue
		}
		cells = append(cells, strconv.FormatFloat(v, 'f', places, 64))
	}
	return cells, true
}

// drawBar returns the bar of one value, the largest of them being as long as there is room.
func drawBar(values []float64, i, room int) string {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	if most <= 0 || room <= 0 {
		return ""
	}
	eighths := int(values[i] / most * float64(room) * 8)
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return bar
}

func pad(s string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if right {
		return space + s
	}
	return s + space
}

// wrap breaks text into lines of at most n characters.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// count prints a whole number with a comma between the thousands.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// bar shows how far something has come: a bar that moves on a terminal, a line each quarter elsewhere. It is safe for use by
// several goroutines.
type bar struct {
	printer *printer
	name    string
	total   int
	moving  *progressbar.ProgressBar // nil: no terminal

	mu      sync.Mutex
	done    int
	quarter int
}

func (p *printer) bar(name string, total int) *bar {
	b := &bar{printer: p, name: name, total: total}
	if p.terminal {
		b.moving = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(fmt.Sprintf("  %-9s", name)),
			progressbar.OptionSetWidth(36), progressbar.OptionShowCount(), progressbar.OptionThrottle(60*time.Millisecond),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		)
	}
	return b
}

// add counts n more.
func (b *bar) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.show(b.done + n)
}

// set says how many there are by now.
func (b *bar) set(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.show(min(n, b.total))
}

// show is called with mu held. A bar that cannot be drawn shows at the next line, which is an error then.
func (b *bar) show(done int) {
	b.done = done
	if b.moving != nil {
		_ = b.moving.Set(done)
		return
	}
	if q := 4 * done / max(b.total, 1); q > b.quarter {
		b.quarter = q
		if q < 4 {
			b.printer.fact(b.name, "%3d%%", 25*q)
		}
	}
}

// end removes the bar and says in its place how it went; nothing where the format is empty.
func (b *bar) end(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.moving != nil {
		if err := b.moving.Clear(); err != nil {
			return err
		}
	}
	if format != "" {
		b.printer.fact(b.name, format, args...)
	}
	return b.printer.err
}
