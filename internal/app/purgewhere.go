package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"firth/internal/lake"
	"firth/internal/query"
)

// conditions find rows by SQL, by whoever answers questions.
type conditions struct {
	lake    *lake.Lake
	sources []string
	ask     func(ctx context.Context, sql string, to io.Writer) (truncated bool, err error)
	wait    time.Duration // see whereWait
}

// viewPatience is how long it may take until a question sees what was committed.
const viewPatience = 15 * time.Second

// errCondition hides what the engine says: that holds the condition, which may name somebody, and errors are logged.
var errCondition = errors.New("--where cannot be evaluated in the tables of the lake")

func (c conditions) find(ctx context.Context, source, condition string) (map[string][]string, error) {
	sources := c.sources
	if source != "" {
		sources = []string{source}
	}
	out := map[string][]string{}
	for _, s := range sources {
		rows, err := c.lake.Rows(ctx, s)
		if errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := c.await(ctx, s, rows); err != nil {
			return nil, err
		}
		sql := fmt.Sprintf(`SELECT DISTINCT message_id FROM lake.%s WHERE (%s)`, quoteIdent(s), condition)
		ids, err := c.texts(ctx, sql)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			out[s] = ids
		}
	}
	return out, nil
}

// await waits until questions see the rows that the table has; merges may have left out doubles meanwhile, so it does not wait for ever.
func (c conditions) await(ctx context.Context, source string, rows int64) error {
	for deadline := time.Now().Add(viewPatience); time.Now().Before(deadline); {
		got, err := c.texts(ctx, fmt.Sprintf(`SELECT CAST(count(*) AS VARCHAR) AS message_id FROM lake.%s`, quoteIdent(source)))
		if err != nil {
			return err
		}
		var n int64
		if len(got) == 1 {
			if _, err := fmt.Sscan(got[0], &n); err == nil && n >= rows {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// Between two tries of a question that could not be answered now whereWait passes, times the tries so far. One that took too long has
// two tries: a third would hardly be faster.
const (
	whereTries = 4
	slowTries  = 2
	whereWait  = 500 * time.Millisecond
)

// texts asks, again where the answer says nothing of the condition: a busy server, or a file that was merged away meanwhile.
func (c conditions) texts(ctx context.Context, sql string) (out []string, err error) {
	slow := 0
	for try := 1; ; try++ {
		out, err = c.once(ctx, sql)
		if tooSlow(err) {
			slow++
		}
		if err == nil || !passing(err) || try == whereTries || slow == slowTries {
			return out, whereInWords(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * c.wait):
		}
	}
}

// passing reports whether a question that failed may be answered a moment later.
func passing(err error) bool {
	var refused *query.Error
	if !errors.As(err, &refused) {
		return !errors.Is(err, errTooMany) && !errors.Is(err, errCondition)
	}
	switch refused.Code {
	case query.CodeDeadline, query.CodeTooMany, query.CodeCanceled, query.CodeInternal, query.CodeStore, codeUnavailable:
		return true
	}
	return false
}

func tooSlow(err error) bool {
	refused, ok := errors.AsType[*query.Error](err)
	return ok && refused.Code == query.CodeDeadline
}

// errTooMany is that the rows did not all fit into the answer.
var errTooMany = errors.New("--where chooses more rows than query.rows allows")

// whereInWords says why the question was not answered, without a word of the engine's.
func whereInWords(err error) error {
	var refused *query.Error
	switch {
	case err == nil, errors.Is(err, errCondition):
		return err
	case errors.Is(err, errTooMany):
		return &hinted{usage: true, err: errTooMany, hint: "raise query.rows, or purge in parts, with a narrower condition each"}
	case !errors.As(err, &refused):
		return hint(errors.New("the half of the server that answers questions does not: --where needs it"), "see the server's log; it is tried again by itself")
	case refused.Code == query.CodeDeadline:
		return &hinted{usage: true, err: errors.New("--where takes longer than query.deadline allows"), hint: "raise query.deadline, or name a source, or purge in parts, with a narrower condition each"}
	case passing(err):
		return hint(fmt.Errorf("--where could not be looked up right now (%s)", refused.Code), "see the server's log; try again")
	}
	return &hinted{usage: true, err: fmt.Errorf("%w (%s)", errCondition, refused.Code), hint: "try it first: firth query \"SELECT count(*) FROM lake.SOURCE WHERE ...\""}
}

func (c conditions) once(ctx context.Context, sql string) ([]string, error) {
	var text bytes.Buffer
	truncated, err := c.ask(ctx, sql, &text)
	if err != nil {
		return nil, err
	}
	if truncated {
		return nil, errTooMany
	}
	var out []string
	for lines := json.NewDecoder(&text); ; {
		var row struct {
			MessageID string `json:"message_id"`
		}
		if err := lines.Decode(&row); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, errCondition
		}
		out = append(out, row.MessageID)
	}
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
