package bench

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"
)

// request is a whole HTTP request, ready but for the places that differ in every sending.
type request struct {
	bytes  []byte
	sent   int
	events []places
}

// places are the offsets of one event's placeholders.
type places struct {
	id, user, anon, stamp, address, group, duration int32
	projects, tokens                                []int32
}

// buildRequests makes the corpus into requests of batch events for POST /v1/track (batch 1) or /v1/batch, at least n of them.
func buildRequests(host, key string, batch, n int) []*request {
	return requestsOf(newCorpus(corpusSeed), host, key, batch, n)
}

func requestsOf(c *corpus, host, key string, batch, n int) []*request {
	auth := base64.StdEncoding.EncodeToString([]byte(key + ":"))
	n = max(n, corpusSize/batch)
	out := make([]*request, 0, n)
	for range n {
		path, body := "/v1/track", c.event(true)
		if batch > 1 {
			path, body = "/v1/batch", c.batch(batch)
		}
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n",
			path, host, auth, len(body))
		out = append(out, newRequest(append([]byte(head), body...)))
	}
	return out
}

// batch returns the envelope of n events.
func (c *corpus) batch(n int) []byte {
	b := []byte(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.event(false)...)
	}
	return append(b, `],"sentAt":"`+sentHole+`"}`...)
}

// newRequest finds the places to patch: placeholders begin with control characters, which JSON text has nowhere else.
func newRequest(b []byte) *request {
	r := &request{bytes: b}
	e := &places{}
	for i := headLength(b); i < len(b); i++ {
		at := int32(i)
		switch b[i] {
		case idHole[0]:
			r.events = append(r.events, places{id: at})
			e = &r.events[len(r.events)-1]
		case userHole[0]:
			e.user = at
		case anonHole[0]:
			e.anon = at
		case stampHole[0]:
			e.stamp = at
		case addressHole[0]:
			e.address = at
		case projectHole[0]:
			e.projects = append(e.projects, at)
		case groupHole[0]:
			e.group = at
		case durationHole[0]:
			e.duration = at
		case tokenHole[0]:
			e.tokens = append(e.tokens, at)
		case sentHole[0]:
			r.sent = i
		}
	}
	return r
}

// patcher fills in the places of requests. Every event gets a messageId that no other one has, a moment of the second before
// it is sent, a user by popularity with the address, company and project that go with it, and random tokens and numbers.
type patcher struct {
	salt  uint64 // differs between runs, so that two runs against one server are not duplicates of each other
	count uint64
	users []uint32 // a sample of users
	milli int64
	now   [len(stampLayout)]byte
	past  [len(stampLayout)]byte // one second before now
}

func newPatcher(salt uint64) *patcher {
	p := &patcher{salt: salt}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(corpusSeed, 2)), userSkew, 50, userCount-1)
	for range 1 << 16 {
		p.users = append(p.users, uint32(zipf.Uint64()))
	}
	return p
}

// patch makes the request new, to be sent at the given time.
func (p *patcher) patch(r *request, now time.Time) {
	if ms := now.UnixMilli(); ms != p.milli {
		p.milli = ms
		copy(p.now[:], now.UTC().Format(stampLayout))
		copy(p.past[:], now.Add(-time.Second).UTC().Format(stampLayout))
	}
	b := r.bytes
	for i := range r.events {
		e := &r.events[i]
		p.count++
		id := mix(p.salt + p.count)
		random := mix(id ^ p.salt)
		user := uint64(p.users[random&0xffff])
		home := mix(user)
		putUUID(b[e.id:], id, random)
		putDigits(b[e.user:e.user+6], user)
		putUUID(b[e.anon:], home, mix(home))
		copy(b[e.stamp:], p.past[:20])
		putDigits(b[e.stamp+20:e.stamp+23], id%1000)
		putAddress(b[e.address:], home)
		for _, at := range e.projects {
			putDigits(b[at:at+5], 10_000+home%40_000)
		}
		putDigits(b[e.group:e.group+5], home%20_000)
		putDigits(b[e.duration:e.duration+5], 10_000+random>>16%50_000)
		for _, at := range e.tokens {
			random = mix(random)
			binary.LittleEndian.PutUint64(b[at:], hex(uint32(random)))
		}
	}
	copy(b[r.sent:], p.now[:])
}

// putAddress writes an IPv4 address with numbers of three digits over the first 15 bytes of dst.
func putAddress(dst []byte, v uint64) {
	for i := 0; i < 16; i += 4 {
		v >>= 8
		putDigits(dst[i:i+3], 100+v%100)
	}
}

// mix is the finalizer of splitmix64: one to one, so different counts never give the same identifier.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// putUUID writes a UUID of version 4 over the first 36 bytes of dst, which has its dashes. It holds all 64 bits of a.
func putUUID(dst []byte, a, b uint64) {
	_ = dst[35]
	binary.LittleEndian.PutUint64(dst, hex(uint32(a)))
	binary.LittleEndian.PutUint64(dst[28:], hex(uint32(a>>32)))
	w := hex(uint32(b))
	binary.LittleEndian.PutUint32(dst[9:], uint32(w))
	binary.LittleEndian.PutUint32(dst[24:], uint32(w>>32))
	w = hex(uint32(b >> 32))
	binary.LittleEndian.PutUint16(dst[15:], uint16(w))
	dst[17] = byte(w >> 16)
	binary.LittleEndian.PutUint16(dst[20:], uint16(w>>32))
	dst[22] = byte(w >> 48)
}

// hex returns the eight lower-case hexadecimal digits of v as the bytes of a word, all at once.
func hex(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101 // 1 in the bytes that are 10 to 15
	return x + 0x3030303030303030 + letters*('a'-'9'-1)
}

// putDigits writes v in decimal over all of dst, with leading zeros.
func putDigits(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
}
