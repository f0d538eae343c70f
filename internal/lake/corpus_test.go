package lake

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"firth/internal/event"
)

// corpus makes believable track calls of about 1 KB; equal seeds give equal calls.
type corpus struct {
	rand  *rand.Rand
	names *rand.Zipf
	users *rand.Zipf
	log   string
	next  uint64
	now   time.Time
	clock atomic.Int64 // now in Unix microseconds, for who runs beside
	step  time.Duration
}

const testLog = "5b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c11"

func newCorpus(seed uint64, start time.Time) *corpus {
	r := rand.New(rand.NewPCG(seed, seed))
	return &corpus{
		rand: r, names: rand.NewZipf(r, 1.15, 4, 119), users: rand.NewZipf(r, 1.05, 8, 499_999),
		log: testLog, now: start, step: time.Millisecond,
	}
}

func (c *corpus) uuid() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], c.rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], c.rand.Uint64())
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

var (
	testAgents = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
		"Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
	}
	testPages = []string{"overview", "reports", "reports/weekly", "settings/members", "settings/billing", "pipelines", "alerts"}
	testWords = []string{"quarterly", "draft", "revenue", "northern", "pipeline", "onboarding", "review", "launch", "billing", "audit"}
	testPlans = []string{"free", "team", "business", "enterprise"}
)

// call returns the next call, received now; the clock goes on by one step.
func (c *corpus) call() *event.Call {
	r := c.rand
	kind := int(c.names.Uint64())
	id, anon, user := c.uuid(), c.uuid(), fmt.Sprintf("usr_%06d", c.users.Uint64())
	ts := c.now.Add(-time.Duration(r.IntN(1500)) * time.Millisecond)
	name := fmt.Sprintf("%s %s", []string{"Report", "Project", "Dashboard", "Invite", "Pipeline", "Alert", "File", "Invoice"}[kind%8],
		[]string{"Viewed", "Created", "Updated", "Deleted", "Shared", "Opened", "Exported", "Archived", "Renamed", "Copied"}[kind/8%10])
	project := r.IntN(40_000)
	path := fmt.Sprintf("/projects/%d/%s", project, pick(r, testPages))
	context := fmt.Sprintf(`{"app":{"name":"console","version":"4.%d.%d","build":"%d"},"library":{"name":"analytics.js","version":"npm:next-1.%d.0"},`+
		`"locale":"en-US","timezone":"Europe/London","ip":"%d.%d.%d.%d","page":{"path":%q,"title":"Console","url":"https://app.example.com%s",`+
		`"referrer":"https://app.example.com/projects/%d","search":""},"screen":{"width":1920,"height":1080,"density":2},"userAgent":%q,"groupId":"cmp_%05d"}`,
		r.IntN(30), r.IntN(10), 4000+r.IntN(900), 60+r.IntN(20), 11+r.IntN(180), r.IntN(256), r.IntN(256), r.IntN(256),
		path, path, project, pick(r, testAgents), r.IntN(20_000))
	properties := fmt.Sprintf(`{"durationMs":%d,"plan":%q,"source":"sidebar","projectId":"prj_%08x","title":"%s %s %d","rows":%d,"bytes":%d,`+
		`"price":%.2f,"trial":%t,"cached":%t,"region":"us-east-1","currency":"USD","filter":"%s %s %s %d"}`,
		r.IntN(90_000), pick(r, testPlans), r.Uint32(), pick(r, testWords), pick(r, testWords), r.IntN(1000), r.IntN(2_000_000), r.IntN(90_000_000),
		float64(r.IntN(100_000))/100, r.IntN(2) == 0, r.IntN(2) == 0, pick(r, testWords), pick(r, testWords), pick(r, testWords), r.IntN(1000))
	payload := fmt.Sprintf(`{"type":"track","messageId":%q,"event":%q,"userId":%q,"anonymousId":%q,"timestamp":%q,"context":%s,"properties":%s}`,
		id, name, user, anon, ts.Format("2006-01-02T15:04:05.000Z"), context, properties)
	out := &event.Call{
		MessageID: id, Type: "track", Event: name, UserID: user, AnonymousID: anon,
		TS: ts.UnixMilli() * 1000, ReceivedAt: c.now.UnixMicro(), SentAt: c.now.Add(-40*time.Millisecond).UnixMilli() * 1000, OriginalTimestamp: ts.UnixMilli() * 1000,
		Properties: []byte(properties), Context: []byte(context), Payload: []byte(payload), Log: c.log, Offset: c.next,
	}
	if c.next%11 == 3 {
		out.Integrations = []byte(`{"All":false,"Warehouses":{"warehouseIds":["main"]}}`)
	}
	c.next++
	c.pass(c.step)
	return out
}

// pass lets time pass.
func (c *corpus) pass(by time.Duration) {
	c.now = c.now.Add(by)
	c.clock.Store(c.now.UnixMicro())
}

func (c *corpus) calls(n int) []*event.Call {
	out := make([]*event.Call, n)
	for i := range out {
		out[i] = c.call()
	}
	return out
}
