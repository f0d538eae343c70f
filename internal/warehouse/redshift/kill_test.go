package redshift

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/test/server"
)

// TestLoadOfChild is the loader that TestKill kills: it stops before a statement, says so and waits.
func TestLoadOfChild(t *testing.T) {
	at := os.Getenv("FIRTH_TEST_KILL_AT")
	if at == "" {
		t.Skip("run by TestKill")
	}
	p := &place{t: t, mu: &sync.Mutex{}, url: os.Getenv("FIRTH_TEST_URL"), store: &server.Store{
		Endpoint: os.Getenv("FIRTH_TEST_ENDPOINT"), Region: "us-east-1", Bucket: os.Getenv("FIRTH_TEST_BUCKET"),
	}}
	d := p.open(Options{})
	p.hook(func(s string) error {
		if strings.HasPrefix(s, at) {
			fmt.Println("reached")
			select {}
		}
		return nil
	})
	_, err := d.Load(context.Background(), batchOf(10, 10))
	t.Fatalf("the load ended before %q: %v", at, err)
}

// TestKill kills a loader at each step; another goes on from there.
func TestKill(t *testing.T) {
	p := newPlace(t)
	mustLoad(t, p.open(Options{}), batchOf(0, 10))
	for _, at := range []string{
		"CREATE TABLE", "INSERT INTO _firth.columns", "CREATE TEMP TABLE firth_stage_0", "COPY firth_stage_1", "INSERT INTO \"production\".\"clicks\"",
		"UPDATE \"production\".\"users\"", "INSERT INTO \"production\".\"firth_discards\"", "UPDATE _firth.positions", "COMMIT",
	} {
		p.do("DROP TABLE IF EXISTS production.opens") // so that there is something to make
		p.killed(at)
		if len(p.store.Objects()) == 0 {
			t.Errorf("%s: the killed loader left no parts: the test proves nothing", at)
		}
		d := p.open(Options{Now: func() time.Time { return time.Now().Add(staleAfter + time.Minute) }})
		p.noParts()
		b := batchOf(0, 10)
		mustLoad(t, d, b) // a duplicate
		b = batchOf(10, 10)
		mustLoad(t, d, b)
		got := p.query("SELECT concat_ws(' ', (SELECT count(*) FROM production.clicks), (SELECT count(DISTINCT id) FROM production.clicks), (SELECT count(*) FROM production.opens), (SELECT count(*) FROM production.users), (SELECT max(position) FROM _firth.positions))")
		if got != "20 20 10 20 20" {
			t.Errorf("killed before %s: clicks, ids, opens, users and position are %s", at, got)
		}
		p.noParts()
		p.do("DELETE FROM production.clicks WHERE n >= 10", "DELETE FROM production.users WHERE n >= 10", "UPDATE _firth.positions SET position = 10")
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killed runs a loader in a process of its own and kills it before a statement.
func (p *place) killed(at string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLoadOfChild$")
	cmd.Env = append(os.Environ(), "FIRTH_TEST_KILL_AT="+at, "FIRTH_TEST_URL="+p.url, "FIRTH_TEST_ENDPOINT="+p.store.Endpoint, "FIRTH_TEST_BUCKET="+p.store.Bucket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	var said []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if said = append(said, s.Text()); s.Text() == "reached" {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if len(said) == 0 || said[len(said)-1] != "reached" {
		p.t.Fatalf("the loader did not reach %s:\n%s", at, strings.Join(said, "\n"))
	}
}
