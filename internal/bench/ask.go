package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// ask sends one SQL statement to the server and returns its rows.
func (s *server) ask(ctx context.Context, sql string) ([][]any, error) {
	body, err := json.Marshal(map[string]string{"sql": sql, "format": "json"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/sql", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	var table struct {
		Rows [][]any `json:"rows"`
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(&table); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", sql, resp.Status, bytes.TrimSpace(answer))
	}
	return table.Rows, nil
}

// count asks for one whole number; NULL is 0.
func (s *server) count(ctx context.Context, sql string) (int64, error) {
	rows, err := s.ask(ctx, sql)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return 0, fmt.Errorf("%s: %d rows where one number was asked for", sql, len(rows))
	}
	return whole(rows[0][0])
}

// whole reads a whole number as the SQL API writes it.
func whole(v any) (int64, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case json.Number:
		return v.Int64()
	case string: // beyond 2^53
		return strconv.ParseInt(v, 10, 64)
	}
	return 0, fmt.Errorf("%v is no whole number", v)
}

// metrics reads the server's numbers; those with labels are added up under their name.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	out, err := parseMetrics(resp.Body)
	return out, errors.Join(err, resp.Body.Close())
}

// parseMetrics reads Prometheus's text format as far as it is needed here: lines of a name, perhaps labels, and a value.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		name, _, _ := strings.Cut(line[:i], "{")
		out[name] += v
	}
	return out, lines.Err()
}
