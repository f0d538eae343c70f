package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"firth/internal/source"
	"firth/test/server"
)

// wants checks that an error has words, a hint and whether it may be tried again, and no secret.
func wants(t *testing.T, err error, retry bool, words ...string) {
	t.Helper()
	var e *source.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no error of a source", err)
	}
	all := e.Error() + "\n" + e.Hint()
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%q is not in: %s", w, all)
		}
	}
	if e.Retry != retry {
		t.Errorf("retry %v: %s", e.Retry, all)
	}
	if strings.Contains(all, "geheim") {
		t.Errorf("the secret is told: %s", all)
	}
}

func TestOnlyTheIDOfAnotherTypeFails(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.HSet(ctx, "u:1", "a", 1).Err(), c.Set(ctx, "u:2", "x", 0).Err(), c.HSet(ctx, "u:3", "a", 3).Err(), c.HSet(ctx, "h:2", "a", 3).Err())
	for _, spec := range []source.Spec{
		{Hash: "u:{id}"}, {Hash: "u:{id}", Columns: []string{"a"}}, {Fields: []source.Field{{Name: "a", Spec: source.Spec{Hash: "u:{id}"}}}},
	} {
		rows, err := open(t, url, spec).Get(ctx, texts("1", "2", "3"))
		must(t, err)
		got, err := lines(ctx, rows)
		var failed *source.FailedIDs
		if !errors.As(err, &failed) || len(failed.IDs) != 1 || failed.IDs[0].ID.Text != "2" || len(got) != 2 {
			t.Fatalf("%v, %v", got, err)
		}
		wants(t, failed.IDs[0].Err, false, `key "u:2" is a string`)
	}
	wants(t, second(open(t, url, source.Spec{Set: "u:1"}).Describe(ctx)), false, `key "u:1" is a hash`)
}

func second(_ *source.Info, err error) error { return err }

func TestKeysThatGoMeanwhile(t *testing.T) {
	c, url := stand(t)
	ctx := t.Context()
	must(t, c.HSet(ctx, "u:1", "a", 1).Err(), c.HSet(ctx, "u:2", "a", 1).Err(), c.HSet(ctx, "u:3", "a", 1).Err())
	s := open(t, url, source.Spec{Hash: "u:{id}"})
	if got := scan(t, open(t, url, source.Spec{Keys: "u:{id}"}), source.Request{Only: []string{"id"}}); len(got) != 3 {
		t.Errorf("listed: %v", got)
	}
	must(t, c.Del(ctx, "u:3").Err(), c.PExpire(ctx, "u:2", time.Millisecond).Err())
	for deadline := time.Now().Add(time.Minute); c.Exists(ctx, "u:2").Val() == 1; {
		if time.Now().After(deadline) {
			t.Fatal("the key does not expire")
		}
	}
	same(t, get(t, s, "1", "2", "3"), `{"id":1,"a":1}`)
}

func TestWords(t *testing.T) {
	own := server.OwnRedis(t, "requirepass geheim")
	ctx := t.Context()
	c := own.Client(0)
	describe := func(url string, spec source.Spec) error {
		return second(open(t, url, spec).Describe(ctx))
	}
	keys := source.Spec{Keys: "u:{id}"}
	at := own.Addr()
	wants(t, describe("redis://"+at, keys), false, "NOAUTH", "redis://USER:PASSWORD@"+at)
	wants(t, describe("redis://:geheim-nicht@"+at, keys), false, "WRONGPASS", "user or password are wrong")
	wants(t, describe("rediss://:geheim@"+at+"?dial_timeout=500ms", keys), false, "TLS")
	wants(t, describe("redis://:geheim@"+at+"/9999", keys), false, "DB index", "/0")
	must(t, c.Do(ctx, "ACL", "SETUSER", "firth", "on", ">geheim2", "+ping", "+select", "~v:*").Err(), c.HSet(ctx, "u:1", "a", "1").Err())
	limited := "redis://firth:geheim2@" + at
	rows, err := open(t, limited, keys).Scan(ctx, source.Request{Only: []string{"id"}})
	must(t, err)
	_, err = lines(ctx, rows)
	wants(t, err, false, "NOPERM", "ACL SETUSER firth", "+scan", "~u:*")
	rows, err = open(t, limited, source.Spec{Hash: "u:{id}"}).Get(ctx, texts("1"))
	must(t, err)
	_, err = lines(ctx, rows)
	wants(t, err, false, "NOPERM", "ACL SETUSER firth", "+hgetall", "+hlen", "~u:*")
	for _, f := range open(t, limited, source.Spec{Hash: "u:{id}"}).Check(ctx) {
		if f.OK || !strings.Contains(f.Hint, "ACL SETUSER firth") {
			t.Errorf("%+v", f)
		}
		statement := f.Hint[strings.Index(f.Hint, "ACL"):]
		args := []any{}
		for _, w := range strings.Fields(statement) {
			args = append(args, w)
		}
		must(t, c.Do(ctx, args...).Err())
	}
	same(t, get(t, open(t, limited, source.Spec{Hash: "u:{id}"}), "1"), `{"id":1,"a":1}`)
	if f := Check(ctx, own.URL(0), source.Options{}); len(f) != 1 || !f[0].OK || !strings.Contains(f[0].Found, "Redis 7") {
		t.Errorf("%+v", f)
	}
	for _, url := range []string{"redis://:geheim@%zz", "http://:geheim@x", "redis://:geheim@x/a/b", "redis://:geheim@x?geheimnis=1&foo=2"} {
		_, err := Open(ctx, url, keys, source.Options{Name: "usage"})
		if err == nil || strings.Contains(err.Error(), ":geheim") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestServerThatIsDown(t *testing.T) {
	own := server.OwnRedis(t, "requirepass geheim")
	proxy := server.Fault(t, own.Addr())
	ctx := t.Context()
	must(t, own.Client(0).HSet(ctx, "u:1", "a", "1").Err())
	s := open(t, server.Via(own.URL(0), proxy.Addr)+"?read_timeout=300ms", source.Spec{Hash: "u:{id}"})
	same(t, get(t, s, "1"), `{"id":1,"a":1}`)
	try := func() error {
		rows, err := s.Get(ctx, texts("1"))
		must(t, err)
		_, err = lines(ctx, rows)
		return err
	}
	proxy.Stall(true)
	wants(t, try(), true, "did not answer in time", "read_timeout")
	proxy.Stall(false)
	proxy.Refuse(true)
	wants(t, try(), true, "refused", "server runs")
	proxy.Refuse(false)
	if err := try(); err != nil {
		t.Errorf("after the server came back: %v", err)
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	rows, err := s.Get(dead, texts("1"))
	must(t, err)
	if _, err := lines(dead, rows); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTLSAndTunnel(t *testing.T) {
	own := server.RedisTLS(t, "redis.example.com", "requirepass geheim")
	ctx := t.Context()
	must(t, own.Client(0).Set(ctx, "k:1", "1", 0).Err())
	keys := source.Spec{Keys: "k:{id}"}
	named := strings.Replace(own.URL(0), own.Host, "redis.example.com", 1)
	var dialled string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = address
		return (&net.Dialer{}).DialContext(ctx, network, own.Addr())
	}
	s := openWith(t, named, keys, source.Options{CA: own.CA, Dial: dial})
	same(t, scan(t, s, source.Request{Only: []string{"id"}}), `{"id":1}`)
	if !strings.HasPrefix(dialled, "redis.example.com:") {
		t.Errorf("dialled %s", dialled)
	}
	wants(t, second(openWith(t, named, keys, source.Options{Dial: dial}).Describe(ctx)), false, "certificate", "ca")
	wants(t, second(openWith(t, own.URL(0), keys, source.Options{CA: own.CA}).Describe(ctx)), false, "certificate")
	wants(t, second(openWith(t, strings.Replace(own.URL(0), "rediss", "redis", 1), keys, source.Options{}).Describe(ctx)), true, "ended the connection", "rediss://")
	if _, err := Open(ctx, strings.Replace(own.URL(0), "rediss", "redis", 1), keys, source.Options{CA: own.CA}); err == nil {
		t.Error("a CA without TLS is taken")
	}
}

func TestCluster(t *testing.T) {
	nodes := server.RedisCluster(t, 3)
	ctx := t.Context()
	s := open(t, nodes[0].URL(0), source.Spec{Hash: "u:{id}"})
	var ids, want []string
	c, err := s.connected(ctx)
	must(t, err)
	for i := range 3000 {
		id := string(rune('a'+i%26)) + strings.Repeat("x", i%7) + time.Duration(i).String()
		must(t, c.cluster.HSet(ctx, "u:"+id, "n", i).Err())
		ids = append(ids, id)
		want = append(want, `{"id":"`+id+`"}`)
	}
	if got := get(t, s, ids...); len(got) != 3000 {
		t.Fatalf("%d of 3000", len(got))
	}
	list := scan(t, open(t, nodes[1].URL(0), source.Spec{Keys: "u:{id}"}), source.Request{Only: []string{"id"}})
	if len(list) != len(want) {
		t.Fatalf("%d of %d ids", len(list), len(want))
	}
	for _, f := range Check(ctx, nodes[2].URL(0), source.Options{}) {
		if !f.OK || !strings.Contains(f.Found, "cluster") {
			t.Errorf("%+v", f)
		}
	}
	nodes[2].Stop()
	rows, err := open(t, nodes[0].URL(0)+"?dial_timeout=1s", source.Spec{Keys: "u:{id}"}).Scan(ctx, source.Request{Only: []string{"id"}})
	if err == nil {
		_, err = lines(ctx, rows)
	}
	wants(t, err, true)
}
