package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The shape of the events: many names and users, a few of which make up most of the traffic.
const (
	eventNames  = 120
	userCount   = 500_000
	corpusSize  = 8_192
	corpusSeed  = 7
	eventSkew   = 1.15
	userSkew    = 1.05
	stampLayout = "2006-01-02T15:04:05.000Z"
)

// Placeholders that are patched in place in every event sent. Each starts with a character that stands nowhere else in a
// request and is overwritten too.
const (
	idHole       = "\x010000000-0000-4000-8000-000000000000"
	anonHole     = "\x020000000-0000-4000-8000-000000000000"
	stampHole    = "\x03006-01-02T15:04:05.000Z"
	sentHole     = "\x04006-01-02T15:04:05.000Z"
	userHole     = "\x0500000"          // six digits
	projectHole  = "\x060000"           // five digits
	groupHole    = "\x070000"           // five digits
	addressHole  = "\x0800.100.100.100" // four numbers of three digits
	durationHole = "\x0b0000"           // five digits, the first not 0
	tokenHole    = "\x0c0000000"        // eight hexadecimal digits
)

// property is one property of an event and how its value is made up.
type property struct {
	name string
	make func(r *rand.Rand) any
}

// corpus makes realistic events of 1,000 to 1,250 bytes: some 20 context fields and 10 properties. Equal seeds give equal events.
type corpus struct {
	rand   *rand.Rand
	events *rand.Zipf
	names  []string
	props  [][]property
}

func newCorpus(seed uint64) *corpus { return newCorpusOf(seed, eventNames) }

// newCorpusOf is a corpus of so many different events.
func newCorpusOf(seed uint64, kinds int) *corpus {
	r := rand.New(rand.NewPCG(seed, 1))
	c := &corpus{rand: r, events: rand.NewZipf(r, eventSkew, 4, uint64(kinds-1))}
	c.names = eventTitles(kinds)
	pool := propertyPool()
	for range c.names {
		var own []property
		for _, i := range r.Perm(len(pool))[:9] {
			own = append(own, pool[i])
		}
		c.props = append(c.props, own)
	}
	return c
}

// event returns the text of one track call with placeholders; sent adds a sentAt, as a call that travels alone has.
func (c *corpus) event(sent bool) []byte {
	kind := int(c.events.Uint64())
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"track","messageId":"%s","event":%q,"userId":"usr_%s","anonymousId":"%s","timestamp":"%s",`,
		idHole, c.names[kind], userHole, anonHole, stampHole)
	if sent {
		fmt.Fprintf(&b, `"sentAt":"%s",`, sentHole)
	}
	b.WriteString(`"context":`)
	b.Write(c.context())
	b.WriteString(`,"properties":{"duration_ms":` + durationHole)
	for _, p := range c.props[kind] {
		fmt.Fprintf(&b, `,%q:%s`, p.name, text(p.make(c.rand)))
	}
	b.WriteString("}}")
	return []byte(b.String())
}

// context returns the JSON text of a browser's context object.
func (c *corpus) context() []byte {
	r := c.rand
	b := browsers[r.IntN(len(browsers))]
	s := screens[r.IntN(len(screens))]
	page := pages[r.IntN(len(pages))]
	path := "/projects/" + projectHole + "/" + page
	return text(object{
		{"app", object{{"name", "console"}, {"version", fmt.Sprintf("4.%d.%d", r.IntN(30), r.IntN(10))}, {"build", fmt.Sprint(4000 + r.IntN(900))}}},
		{"library", object{{"name", "analytics.js"}, {"version", "npm:next-1." + fmt.Sprint(60+r.IntN(20)) + ".0"}}},
		{"locale", locales[r.IntN(len(locales))]},
		{"timezone", zones[r.IntN(len(zones))]},
		{"ip", addressHole},
		{"os", object{{"name", b.os}, {"version", b.osVersion}}},
		{"page", object{
			{"path", path}, {"title", titles[r.IntN(len(titles))]}, {"url", "https://app.example.com" + path},
			{"referrer", "https://app.example.com/projects/" + projectHole}, {"search", ""},
		}},
		{"screen", object{{"width", s[0]}, {"height", s[1]}, {"density", 1 + r.IntN(3)}}},
		{"userAgent", b.agent},
		{"groupId", "cmp_" + groupHole},
	})
}

// object is a JSON object that keeps its order.
type object []field

type field struct {
	name  string
	value any
}

// text returns the JSON text of a value of the corpus: a string, a number, a flag or an object.
func text(v any) []byte {
	switch v := v.(type) {
	case object:
		b := []byte{'{'}
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), f.name...), `":`...)
			b = append(b, text(f.value)...)
		}
		return append(b, '}')
	case int:
		return strconv.AppendInt(nil, int64(v), 10)
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64)
	case bool:
		return strconv.AppendBool(nil, v)
	default: // nothing in the corpus needs an escape, and the placeholders must stay as they are
		return fmt.Appendf(nil, `"%v"`, v)
	}
}
