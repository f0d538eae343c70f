package event

import (
	"crypto/sha256"
	"encoding/hex"
)

// ReasonNoTime is the reason of an archived call that says neither when it was received nor when it happened.
const ReasonNoTime = "no_time"

// Archived walks over one line of an archive that Segment's or RudderStack's object storage destination wrote: a call as it was handed on
// to destinations, with receivedAt and the corrected timestamp in it. It goes to call or to dead as by [Decoder.Decode], with these
// differences:
//
//   - receivedAt is the time of receipt; where it is missing the timestamp is, else sentAt, else originalTimestamp, else otherwise
//     (NoTime: the call is refused, [ReasonNoTime])
//   - timestamp is what the clocks say and is not corrected again; without it they are corrected as ever. More than [FutureLimit] ahead
//     of receipt the time of receipt is stored, as ever
//   - originalTimestamp is what the client said, and nothing else is
//   - a missing messageId is made from the line, so that the same line has the same one wherever it lies
//
// Of r the source and the policy for addresses count; request_ip is left out of the payload unless they are kept. What call and dead
// are given is valid until they return, except for the strings; Payload, Properties and Context may point into the line.
func (d *Decoder) Archived(r *Request, line []byte, log string, offset uint64, otherwise int64, call func(*Call) error, dead func(*DeadLetter) error) error {
	own := Request{Source: r.Source, IPPolicy: r.IPPolicy, Type: "any"} // a type makes split look for one call
	d.run = run{r: &own, body: line, log: log, first: offset, receivedAt: otherwise, archived: true, emit: call, dead: dead}
	defer func() { d.run = run{}; d.env.reset(); d.c.reset(nil, false) }()
	if !d.split(line, false) && !d.splitDirty(line) {
		return d.letter(explain(line).Reason, 0, line)
	}
	own.Type = ""
	it := &d.items[0]
	c := &d.call
	*c = Call{Log: log, Offset: offset}
	c.Payload = d.shape(it)
	badTime := d.archivedTimes(it, c)
	if c.ReceivedAt == NoTime {
		return d.letter(ReasonNoTime, 0, c.Payload)
	}
	if reason := d.check(it, c); reason != "" {
		return d.letter(reason, 0, c.Payload)
	}
	if id, _ := d.text(it, fMessageID); len(id) == 0 {
		c.MessageID = lineID(line)
	}
	payload := c.Payload
	if err := d.emit(c); err != nil {
		return err
	}
	if as, ok := d.invalid[0]; ok {
		if err := d.letter(ReasonInvalidUTF8, 0, as); err != nil {
			return err
		}
	}
	if badTime {
		return d.letter(ReasonInvalidTime, 0, payload)
	}
	return nil
}

// archivedTimes fills in the times of an archived call; it tells whether one of its own could not be read.
func (d *Decoder) archivedTimes(it *item, c *Call) (bad bool) {
	received, ok1 := d.time(it, fReceivedAt)
	timestamp, ok2 := d.time(it, fTimestamp)
	sent, ok3 := d.time(it, fSentAt)
	original, ok4 := d.time(it, fOriginalTimestamp)
	for _, instead := range [...]int64{timestamp, sent, original, d.receivedAt} {
		if received == NoTime {
			received = instead
		}
	}
	c.ReceivedAt, c.SentAt, c.OriginalTimestamp = received, sent, original
	if received == NoTime {
		return false
	}
	if c.TS = timestamp; timestamp == NoTime {
		c.TS = clock(received, sent, original)
	}
	if c.TS > received+FutureLimit {
		c.TS = received
	}
	return !ok1 || !ok2 || !ok3 || !ok4
}

// lineID is the messageId of a line that came without one.
func lineID(line []byte) string {
	sum := sha256.Sum256(line)
	return "firth-line-" + hex.EncodeToString(sum[:16])
}
