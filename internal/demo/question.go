package demo

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed sql
var sqlFiles embed.FS

// Question is one of the demo's.
type Question struct {
	Name  string // of the file that holds the SQL
	Title string
	Note  string // what to see in it
	SQL   string
}

// Questions returns the demo's questions.
func Questions() []Question {
	all := []Question{
		{Name: "libraries", Title: "Which client libraries are popular?", Note: "demo.tracks is the table of all track calls; each event has one of its own, too."},
		{Name: "days", Title: "How many events come a day?", Note: "lake.demo holds every call as it came, in Parquet files of an Iceberg table."},
		{
			Name: "active", Title: "Which share of paying companies had an administrator active on every day of the last week?",
			Note: "app.companies and app.users are mirrors of the company's own database; demo.tracks joins them.",
		},
		{
			Name: "integrations", Title: "Which integrations do projects use that send over 100 million API calls a month?",
			Note: "app.project_usage is a list and a get: the ids from one database, the counters from another.",
		},
		{Name: "mobile", Title: "Which projects use the iOS or Android library?", Note: "The largest eight."},
		{Name: "power", Title: "Who has 20 or more active projects?", Note: "The first eight."},
	}
	for i := range all {
		// The file is part of the binary: reading it does not fail.
		b, _ := sqlFiles.ReadFile("sql/" + all[i].Name + ".sql")
		all[i].SQL = strings.TrimRight(string(b), "\n")
	}
	return all
}

// Answer is a table of texts: whole numbers without and others with a point, dates as 2006-01-02.
type Answer struct {
	Columns []string
	Rows    [][]string
}

// Ask has a server answer SQL. url is the server's address, as in http://127.0.0.1:8080.
func Ask(ctx context.Context, client *http.Client, url, sql string) (Answer, error) {
	body, err := json.Marshal(map[string]string{"sql": sql, "format": "json"})
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/sql", bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("ask %s: %s: %s", url, resp.Status, bytes.TrimSpace(text))
	}
	return parseAnswer(text)
}

func parseAnswer(text []byte) (Answer, error) {
	var table struct {
		Columns []struct{ Name string }
		Rows    [][]any
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&table); err != nil {
		return Answer{}, fmt.Errorf("understand the answer: %w", err)
	}
	a := Answer{}
	for _, c := range table.Columns {
		a.Columns = append(a.Columns, c.Name)
	}
	for _, row := range table.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			cells[i] = cell(v)
		}
		a.Rows = append(a.Rows, cells)
	}
	return a, nil
}

// cell returns the text of a value: numbers in their shortest form, so that 47.0 and 47 are the same.
func cell(v any) string {
	n, ok := v.(json.Number)
	if !ok {
		return fmt.Sprint(v)
	}
	if f, err := n.Float64(); err == nil && strings.ContainsAny(n.String(), ".eE") {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return n.String()
}

// Expected returns the answers to the questions, in their order, worked out from the month itself without any SQL.
func (m *Month) Expected() []Answer {
	return []Answer{m.expectLibraries(), m.expectDays(), m.expectActive(), m.expectIntegrations(), m.expectMobile(), m.expectPower()}
}

func (m *Month) expectLibraries() Answer {
	var events [libraries]int
	var users [libraries]map[*User]bool
	sum := 0
	for i := range users {
		users[i] = map[*User]bool{}
	}
	for i := range m.Calls {
		if c := &m.Calls[i]; c.kind == track {
			events[c.library]++
			users[c.library][c.user] = true
			sum++
		}
	}
	order := make([]int, libraries)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return events[b] - events[a] })
	a := Answer{Columns: []string{"library", "events", "users", "percent"}}
	for _, l := range order {
		a.Rows = append(a.Rows, []string{m.sdks[l].name, strconv.Itoa(events[l]), strconv.Itoa(len(users[l])), percent(events[l], sum)})
	}
	return a
}

func (m *Month) expectDays() Answer {
	var events [days]int
	var users [days]map[*User]bool
	for i := range users {
		users[i] = map[*User]bool{}
	}
	for i := range m.Calls {
		c := &m.Calls[i]
		events[c.day(m)]++
		if c.user != nil {
			users[c.day(m)][c.user] = true
		}
	}
	a := Answer{Columns: []string{"day", "weekday", "events", "users"}}
	for i := range days {
		day := time.UnixMilli(m.start + int64(i)*dayMillis).UTC()
		a.Rows = append(a.Rows, []string{day.Format(time.DateOnly), day.Format("Mon"), strconv.Itoa(events[i]), strconv.Itoa(len(users[i]))})
	}
	return a
}

func (m *Month) expectActive() Answer {
	seen := map[*Company]map[int]bool{}
	for i := range m.Calls {
		c := &m.Calls[i]
		if c.kind != track || c.user == nil || c.user.Role != Administrator || c.day(m) < days-7 {
			continue
		}
		if seen[c.user.Company] == nil {
			seen[c.user.Company] = map[int]bool{}
		}
		seen[c.user.Company][c.day(m)] = true
	}
	type figures struct{ companies, idle, daily int }
	count := map[string]*figures{Pro: {}, Enterprise: {}, "all paying": {}}
	for _, c := range m.Companies {
		if !c.Paying {
			continue
		}
		for _, f := range []*figures{count[c.Plan], count["all paying"]} {
			f.companies++
			switch len(seen[c]) {
			case 0:
				f.idle++
			case 7:
				f.daily++
			}
		}
	}
	a := Answer{Columns: []string{"plan", "companies", "idle", "active_daily", "percent"}}
	for _, plan := range []string{Enterprise, Pro, "all paying"} {
		f := count[plan]
		a.Rows = append(a.Rows, []string{plan, strconv.Itoa(f.companies), strconv.Itoa(f.idle), strconv.Itoa(f.daily), percent(f.daily, f.companies)})
	}
	return a
}

// percent rounds to one place as SQL's round does: halves away from zero.
func percent(part, whole int) string {
	if whole == 0 {
		return "0"
	}
	return strconv.FormatFloat(math.Round(100*float64(part)/float64(whole)*10)/10, 'f', -1, 64)
}
