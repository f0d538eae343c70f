package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"firth/internal/source"
)

// Digits tells how many digits the values of wide decimals have, in one statement that reads them once. All values of a column are written
// with the same digits behind the point.
func (t *Table) Digits(ctx context.Context, req source.Request) (map[string]source.Digits, error) {
	fields, r, err := t.scanned(ctx, req)
	if err != nil {
		return nil, err
	}
	statement := r.digits()
	out := map[string]source.Digits{}
	err = t.with(ctx, func(s *session) error {
		return s.each(ctx, statement, func(row []driver.Value) error {
			if len(row) != 3*len(fields) {
				return errors.New("the server answered with other columns")
			}
			for i, f := range fields {
				var n [3]int
				for j := range n {
					if n[j], err = strconv.Atoi(asText(row[3*i+j])); err != nil {
						return fmt.Errorf("count the digits of %s: %w", f.Name, err)
					}
				}
				out[f.Name] = source.Digits{Whole: n[0], Scale: n[1], Least: n[2]}
			}
			return nil
		})
	})
	if err != nil {
		return nil, t.fail("read", err)
	}
	return out, nil
}

// digits is the statement that counts digits: before the point, behind it, and behind it without zeros at the end, of each column.
func (r reading) digits() string {
	var list []string
	for _, c := range r.columns {
		x := quote(c)
		most := "truncate(max(abs(" + x + ")), 0)"
		behind := "substring_index(concat(" + x + ", '.'), '.', 2)"
		behind = "substring(" + behind + ", locate('.', " + behind + ") + 1)"
		list = append(list,
			"coalesce(if("+most+" > 0, char_length("+most+"), 0), 0)",
			"coalesce(max(char_length("+behind+")), 0)",
			"coalesce(max(char_length(trim(trailing '0' from "+behind+"))), 0)")
	}
	return "SELECT " + strings.Join(list, ", ") + r.tail()
}
