package parts

import (
	"bufio"
	"context"
	_ "embed" // the table
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	client "github.com/redis/go-redis/v9"

	"firth/internal/bench"
)

//go:embed sql/mirror_rows.sql
var mirrorRows string

// pipeDepth is how many commands of a bare pipeline are under way at once.
const pipeDepth = 200

// docsVariable tells the program that prints documents how many.
const docsVariable = "FIRTH_BENCH_DOCS"

// mirrorFill makes what is mirrored, anew.
func mirrorFill(ctx context.Context, job bench.MirrorJob) (out bench.MirrorResult, err error) {
	if job.From == "hashes" {
		return out, fillHashes(ctx, job)
	}
	conn, err := pgx.Connect(ctx, job.URL)
	if err != nil {
		return out, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	statements := strings.ReplaceAll(mirrorRows, "$1", strconv.Itoa(job.Docs))
	for _, s := range []string{statements, "DROP SCHEMA IF EXISTS bench_into CASCADE", "VACUUM ANALYZE bench_mirror.rows"} {
		if _, err := conn.Exec(ctx, s); err != nil {
			return out, fmt.Errorf("fill: %w", err)
		}
	}
	return out, nil
}

func fillHashes(ctx context.Context, job bench.MirrorJob) (err error) {
	c, err := redisClient(job.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for from := 0; from < job.Docs; from += 1000 {
		p := c.Pipeline()
		for i := from; i < min(from+1000, job.Docs); i++ {
			p.HSet(ctx, hashKey(i), "calls", i*17, "last_month", i*3, "plan", [...]string{"free", "pro", "enterprise"}[i%3])
		}
		if _, err := p.Exec(ctx); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

func redisClient(url string) (*client.Client, error) {
	o, err := client.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("address of Redis: %w", err)
	}
	return client.NewClient(o), nil
}

func hashKey(i int) string { return fmt.Sprintf("bench:%d:usage", i) }

// mirrorPipe reads the same rows by the bare client.
func mirrorPipe(ctx context.Context, job bench.MirrorJob) (out bench.MirrorResult, err error) {
	if job.From == "hashes" {
		return pipeHashes(ctx, job)
	}
	from, err := pgx.Connect(ctx, job.URL)
	if err != nil {
		return out, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close(context.WithoutCancel(ctx))) }()
	to, err := pgx.Connect(ctx, job.Target)
	if err != nil {
		return out, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close(context.WithoutCancel(ctx))) }()
	if _, err := to.Exec(ctx, "DROP TABLE IF EXISTS bench_mirror.piped; CREATE TABLE bench_mirror.piped (LIKE bench_mirror.rows)"); err != nil {
		return out, err
	}
	r, w := io.Pipe()
	began := time.Now()
	sent := make(chan error, 1)
	go func() {
		buffered := bufio.NewWriterSize(w, 1<<20)
		_, err := from.PgConn().CopyTo(ctx, buffered, "COPY bench_mirror.rows TO STDOUT (FORMAT binary)")
		err = errors.Join(err, buffered.Flush())
		sent <- errors.Join(err, w.CloseWithError(err))
	}()
	tag, err := to.PgConn().CopyFrom(ctx, r, "COPY bench_mirror.piped FROM STDIN (FORMAT binary)")
	_ = r.Close() // so that the other half ends, too
	err = errors.Join(err, <-sent)
	out.Took, out.Rows, out.Peak, out.CPU = time.Since(began), tag.RowsAffected(), peak(), cpuTime()
	if err != nil {
		return out, err
	}
	_, err = to.Exec(ctx, "DROP TABLE bench_mirror.piped")
	return out, err
}

// pipeHashes lists the keys by SCAN and reads the hashes, many commands at once on one connection.
func pipeHashes(ctx context.Context, job bench.MirrorJob) (out bench.MirrorResult, err error) {
	c, err := redisClient(job.URL)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	began := time.Now()
	var keys []string
	for cursor := uint64(0); ; {
		var found []string
		if found, cursor, err = c.Scan(ctx, cursor, "bench:*:usage", 1000).Result(); err != nil {
			return out, err
		}
		keys = append(keys, found...)
		if cursor == 0 {
			break
		}
	}
	for from := 0; from < len(keys); from += pipeDepth {
		p := c.Pipeline()
		for _, key := range keys[from:min(from+pipeDepth, len(keys))] {
			p.HGetAll(ctx, key)
		}
		answers, err := p.Exec(ctx)
		if err != nil {
			return out, err
		}
		out.Rows += int64(len(answers))
	}
	out.Took, out.CPU, out.Peak = time.Since(began), cpuTime(), peak()
	return out, nil
}

// printDocs prints documents as a program that a mirror reads from.
func printDocs(out io.Writer) error {
	n, err := strconv.Atoi(os.Getenv(docsVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", docsVariable, err)
	}
	w := bufio.NewWriterSize(out, 1<<20)
	for i := range n {
		if _, err := fmt.Fprintf(w, `{"_id":"%024x","name":"document %d","plan":%q,"seats":%d,"score":%d.5,"active":%t,"created":"2026-01-%02dT10:00:00Z","address":{"city":"Port %d"}}`+"\n",
			i, i, [...]string{"free", "pro", "enterprise"}[i%3], i%1000, i%97, i%2 == 0, 1+i%28, i%5000); err != nil {
			return err
		}
	}
	return w.Flush()
}
