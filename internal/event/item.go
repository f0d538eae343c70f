package event

import (
	"unicode/utf8"
)

// MaxMessageID is how many characters a messageId may have.
const MaxMessageID = 100

// The fields of a call that Decode looks at.
const (
	fMessageID = iota
	fType
	fEvent
	fUserID
	fAnonymousID
	fProperties
	fTraits
	fContext
	fIntegrations
	fTimestamp
	fSentAt
	fOriginalTimestamp
	fGroupID
	fPreviousID
	fWriteKey
	fReceivedAt // of archived calls
	fRequestIP  // of archived calls
	fieldCount
	fOther = -1
)

func fieldOf(name []byte) int {
	switch string(name) {
	case "messageId":
		return fMessageID
	case "type":
		return fType
	case "event":
		return fEvent
	case "userId":
		return fUserID
	case "anonymousId":
		return fAnonymousID
	case "properties":
		return fProperties
	case "traits":
		return fTraits
	case "context":
		return fContext
	case "integrations":
		return fIntegrations
	case "timestamp":
		return fTimestamp
	case "sentAt":
		return fSentAt
	case "originalTimestamp":
		return fOriginalTimestamp
	case "groupId":
		return fGroupID
	case "previousId":
		return fPreviousID
	case "writeKey":
		return fWriteKey
	case "receivedAt":
		return fReceivedAt
	case "request_ip":
		return fRequestIP
	}
	return fOther
}

// span is a range of bytes of the body; empty where start equals end.
type span struct{ start, end int32 }

func (s span) of(b []byte) []byte { return b[s.start:s.end] }
func (s span) size() int          { return int(s.end - s.start) }

// cut is a member that the payload may have to lose: name and value.
type cut struct {
	span
	field int
}

// item is one call within the body: where its fields are (the last one of each name) and which of d.cuts are its.
type item struct {
	all      span
	odd      bool // not an object
	cuts     span
	contexts int // members called context
	fields   [fieldCount]span
}

// item reads the object that comes next and appends it to d.items.
func (d *Decoder) item() {
	c := &d.c
	c.enter('{')
	d.items = append(d.items, item{all: span{start: int32(c.i) - 1}})
	it := &d.items[len(d.items)-1]
	it.cuts.start = int32(len(d.cuts))
	for first := true; c.more(first, '}'); first = false {
		quoted, start := c.name()
		f := fieldOf(c.plain(quoted))
		v := c.value()
		if f == fOther {
			continue
		}
		it.fields[f] = v
		switch f {
		case fContext:
			it.contexts++
			fallthrough
		case fWriteKey, fIntegrations:
			d.cuts = append(d.cuts, cut{span{int32(start), v.end}, f})
		case fRequestIP:
			if d.archived && d.r.IPPolicy != IPKeep {
				d.cuts = append(d.cuts, cut{span{int32(start), v.end}, f})
			}
		}
	}
	it.all.end, it.cuts.end = int32(c.i), int32(len(d.cuts))
}

// value gives a field of the item; nil when it is absent or null.
func (d *Decoder) value(it *item, f int) []byte {
	s := it.fields[f]
	if s.start == s.end || d.body[s.start] == 'n' {
		return nil
	}
	return s.of(d.body)
}

// text gives a field as text: a string's own, the literal of a number or a boolean, nil when it is absent, null or empty. It is valid
// until the next call. false: an object or an array.
func (d *Decoder) text(it *item, f int) ([]byte, bool) {
	v := d.value(it, f)
	if v == nil {
		return nil, true
	}
	switch v[0] {
	case '"':
		return d.c.plain(v), true
	case '{', '[':
		return nil, false
	}
	return v, true
}

// check fills in what identifies the call; it returns the reason of a refusal, or "".
func (d *Decoder) check(it *item, c *Call) string {
	if reason := d.kind(it, c); reason != "" {
		return reason
	}
	if reason := d.ids(it, c); reason != "" {
		return reason
	}
	id, ok := d.text(it, fMessageID)
	switch {
	case !ok:
		return ReasonInvalidMessageID
	case len(id) > MaxMessageID && utf8.RuneCount(id) > MaxMessageID:
		return ReasonMessageIDTooLong
	case len(id) == 0:
		c.MessageID = derivedID(c.Log, c.Offset)
	default:
		c.MessageID = string(id)
	}
	properties := fProperties
	if c.Type == "identify" || c.Type == "group" || c.Type == "alias" {
		properties = fTraits
	}
	c.Properties = d.value(it, properties)
	return ""
}

// kind fills in Type and Event.
func (d *Decoder) kind(it *item, c *Call) string {
	c.Type = d.r.Type
	if c.Type == "" {
		name, ok := d.text(it, fType)
		if ok && len(name) == 0 {
			return ReasonMissingType
		}
		if c.Type = TypeOf(name); c.Type == "" {
			return ReasonUnknownType
		}
	}
	c.Event = c.Type
	if c.Type != "track" {
		return ""
	}
	name, ok := d.text(it, fEvent)
	switch {
	case !ok:
		return ReasonInvalidEvent
	case len(name) == 0:
		return ReasonMissingEvent
	}
	c.Event = string(name)
	return ""
}

// ids fills in UserID and AnonymousID and checks the other ids that the type needs.
func (d *Decoder) ids(it *item, c *Call) string {
	user, ok := d.text(it, fUserID)
	if !ok {
		return ReasonInvalidUserID
	}
	c.UserID = string(user)
	anonymous, ok := d.text(it, fAnonymousID)
	if !ok {
		return ReasonInvalidAnonymousID
	}
	c.AnonymousID = string(anonymous)
	if c.UserID == "" && c.AnonymousID == "" {
		return ReasonNoUserAnonID
	}
	switch c.Type {
	case "group":
		if id, _ := d.text(it, fGroupID); len(id) == 0 {
			return ReasonMissingGroupID
		}
	case "alias":
		if c.UserID == "" {
			return ReasonMissingUserID
		}
		if id, _ := d.text(it, fPreviousID); len(id) == 0 {
			return ReasonMissingPreviousID
		}
	}
	return ""
}

// TypeOf gives the type of call of that name as a constant, "" for any other name.
func TypeOf[T string | []byte](name T) string {
	switch string(name) {
	case "track":
		return "track"
	case "identify":
		return "identify"
	case "page":
		return "page"
	case "screen":
		return "screen"
	case "group":
		return "group"
	case "alias":
		return "alias"
	}
	return ""
}

// times fills in the times; it tells whether one of the call's own could not be read.
func (d *Decoder) times(it *item, c *Call) (bad bool) {
	timestamp, ok1 := d.time(it, fTimestamp)
	original, ok2 := d.time(it, fOriginalTimestamp)
	sent, ok3 := d.time(it, fSentAt)
	if sent == NoTime {
		sent = d.env.sent
	}
	if timestamp != NoTime {
		original = timestamp
	}
	c.SentAt, c.OriginalTimestamp = sent, original
	c.TS = clock(c.ReceivedAt, sent, original)
	if d.r.TrustTimestamp && timestamp != NoTime {
		c.TS = timestamp
	}
	if c.TS > c.ReceivedAt+FutureLimit {
		c.TS = c.ReceivedAt
	}
	return !ok1 || !ok2 || !ok3
}

func (d *Decoder) time(it *item, f int) (int64, bool) {
	return parseTimeValue(&d.c, d.value(it, f))
}

// parseTimeValue reads a JSON value as a time; absent, null and "" are no time.
func parseTimeValue(c *cursor, v []byte) (int64, bool) {
	if v == nil || v[0] == 'n' {
		return NoTime, true
	}
	if v[0] != '"' {
		return NoTime, false
	}
	text := c.plain(v)
	if len(text) == 0 {
		return NoTime, true
	}
	if t, ok := ParseTime(string(text)); ok {
		return t, true
	}
	return NoTime, false
}
