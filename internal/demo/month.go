package demo

import (
	"cmp"
	"slices"
	"time"
)

// days is the length of the demo's month: whole days, the last one yesterday.
const days = 30

// kind is the type of a call.
type kind uint8

const (
	track kind = iota
	identify
	page
	screen
	group
	alias
	kinds int = iota
)

func (k kind) String() string {
	return [...]string{"track", "identify", "page", "screen", "group", "alias"}[k]
}

// Call is one call to the tracking API, before it is written as JSON.
type Call struct {
	at      int64 // Unix milliseconds
	kind    kind
	library library
	event   int16  // index in the events, for a track call
	user    *User  // nil: a visitor whom nobody knows yet
	visitor string // anonymous id
	seed    uint64
}

// day returns the day of the month, from 0.
func (c *Call) day(m *Month) int { return int((c.at - m.start) / dayMillis) }

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// Month is everything that happens in the demo: the customers, their people and a month of their calls in the order of time.
// It is the same whenever it is made for the same day. It is read only and safe for use by several goroutines.
type Month struct {
	Companies []*Company
	Users     []*User
	Projects  []*Project
	Calls     []Call

	seed   uint64
	today  time.Time
	start  int64 // Unix milliseconds of the first day
	events []event
	sdks   [libraries]sdk
	index  map[string]int16 // of an event by its name
	common []int16          // the events that people do, and how often
	odds   []int
}

// MakeMonth makes the month of thirty days before the day of now, in UTC. Nothing happens in the last minutes of a day: the
// clock correction, which adds the time that a request took, must not carry a call into the next one.
func MakeMonth(seed uint64, now time.Time) *Month {
	today := now.UTC().Truncate(24 * time.Hour)
	m := &Month{seed: seed, today: today, start: today.AddDate(0, 0, -days).UnixMilli(), events: events(), sdks: sdks(), index: map[string]int16{}}
	for i, e := range m.events {
		m.index[e.name] = int16(i)
		if e.weight > 0 {
			m.common, m.odds = append(m.common, int16(i)), append(m.odds, e.weight)
		}
	}
	m.Companies, m.Users = makeCompanies(seed, today)
	m.Projects = makeProjects(seed, m.Companies, today)
	for _, c := range m.Companies {
		m.liveCompany(c)
	}
	for day := range days {
		m.visitors(day)
	}
	slices.SortStableFunc(m.Calls, func(a, b Call) int { return cmp.Compare(a.at, b.at) })
	return m
}

// weekday returns how much happens on a day of the month, compared with a Monday.
func (m *Month) weekday(day int) float64 {
	switch time.UnixMilli(m.start + int64(day)*dayMillis).UTC().Weekday() {
	case time.Saturday:
		return 0.2
	case time.Sunday:
		return 0.16
	case time.Friday:
		return 0.82
	case time.Tuesday, time.Wednesday:
		return 1.05
	}
	return 1
}

// liveCompany lets the people of a company live through the month, day by day.
func (m *Month) liveCompany(c *Company) {
	if c.idle {
		return
	}
	s := &story{month: m, company: c}
	for day := range days {
		for _, u := range c.users {
			d := throw(m.seed, 5, uint64(u.index), uint64(day))
			born := m.dayOf(u.CreatedAt)
			if day < born {
				continue
			}
			if day == born {
				s.signUp(d, u)
				continue
			}
			for range s.sessions(d, u, m.weekday(day)) {
				s.session(d, u, day, m.startOf(d, c.zone, day))
			}
		}
	}
}

// dayOf returns the day of the month in which t lies; negative before the month.
func (m *Month) dayOf(t time.Time) int {
	if t.UnixMilli() < m.start {
		return -1
	}
	return int((t.UnixMilli() - m.start) / dayMillis)
}

// startOf returns when a session starts: within somebody's working hours, and early enough to end on the same day.
func (m *Month) startOf(d *dice, z zone, day int) int64 {
	local := 8 + d.below(6) + d.below(6)
	hour := min((local-z.offset+24)%24, 22)
	return m.start + int64(day)*dayMillis + int64(hour)*3_600_000 + int64(d.below(3_600_000))
}

// visitors lets people who are nobody's users look at the web site.
func (m *Month) visitors(day int) {
	d := throw(m.seed, 6, uint64(day))
	for range int(m.weekday(day) * float64(d.between(60, 90))) {
		who, at := uuid(d), m.startOf(d, timezones[d.below(len(timezones))], day)
		for range d.between(1, 4) {
			m.Calls = append(m.Calls, Call{at: at, kind: page, library: browser, visitor: who, seed: d.next()})
			at += int64(d.between(4_000, 90_000))
		}
	}
}

// story is what has happened to a company so far.
type story struct {
	month   *Month
	company *Company
	changed bool // the change of plan has been told
	paid    bool
	told    int // day of the last group call, from 1; 0: none yet
}

// sessions returns how often somebody comes on a day.
func (s *story) sessions(d *dice, u *User, weekday float64) int {
	p := s.company.eager * weekday
	if s.company.devoted && u.Role == Administrator {
		p = 0.9 + 0.08*weekday
	}
	if !d.chance(min(p, 0.97)) {
		return 0
	}
	return 1 + d.weighted([]int{76, 18, 6})
}

// call adds a call.
func (s *story) call(at int64, k kind, l library, u *User, seed uint64) {
	s.month.Calls = append(s.month.Calls, Call{at: at, kind: k, library: l, user: u, visitor: u.anonymous, seed: seed})
}

// track adds a track call of the library that the event belongs to; people's own events come by the library they use.
func (s *story) track(at int64, name string, l library, u *User, seed uint64) {
	i := s.month.index[name]
	if by := s.month.events[i].by; by != browser {
		l = by
	}
	s.month.Calls = append(s.month.Calls, Call{at: at, kind: track, library: l, event: i, user: u, visitor: u.anonymous, seed: seed})
}

// signUp is somebody's first day: a look at the web site, the account, and a first session.
func (s *story) signUp(d *dice, u *User) {
	at := min(u.CreatedAt.UnixMilli(), s.month.start+int64(s.month.dayOf(u.CreatedAt))*dayMillis+22*3_600_000)
	for range d.between(1, 3) {
		s.month.Calls = append(s.month.Calls, Call{at: at, kind: page, library: browser, visitor: u.anonymous, seed: d.next()})
		at += int64(d.between(5_000, 60_000))
	}
	name := signedUp
	if u != s.company.users[0] {
		name = inviteAccepted
	}
	s.track(at, name, node, u, d.next())
	s.call(at+400, alias, node, u, d.next())
	s.call(at+700, identify, browser, u, d.next())
	s.session(d, u, s.month.dayOf(u.CreatedAt), at+2_000)
}

// session is one visit of somebody: pages or screens, what they do there, and what the services do because of it.
func (s *story) session(d *dice, u *User, day int, at int64) {
	l, look := browser, page
	if u.mobile != browser && d.chance(u.onTheGo) {
		l, look = u.mobile, screen
	}
	if d.chance(0.12) {
		s.call(at, identify, l, u, d.next())
		at += 300
	}
	if u.Role == Administrator {
		at = s.office(d, u, day, at)
	}
	for range d.between(2, 6) {
		if d.chance(0.4) {
			s.call(at, look, l, u, d.next())
			at += int64(d.between(500, 8_000))
		}
		e := s.month.common[d.weighted(s.month.odds)]
		name := s.month.events[e].name
		s.track(at, name, l, u, d.next())
		s.consequences(d, u, name, at)
		at += int64(d.between(3_000, 80_000))
	}
	if u.developer && d.chance(0.7) {
		for range d.between(1, 5) {
			s.track(at, apiCalled, golang, u, d.next())
			at += int64(d.between(200, 9_000))
		}
	}
}

// office is what happens to a company when an administrator comes: the account is described, paid for and changed.
func (s *story) office(d *dice, u *User, day int, at int64) int64 {
	c := s.company
	if s.told == 0 || day-s.told >= 6 {
		s.told = day + 1
		s.call(at, group, node, u, d.next())
		at += 500
	}
	if !s.changed && c.changed >= 0 && day >= c.changed {
		s.changed = true
		name := planUpgraded
		if c.Plan == Free {
			name = planDowngraded
		}
		s.track(at, name, node, u, d.next())
		s.call(at+200, group, node, u, d.next())
		at += 800
	}
	if c.Paying && !s.paid && day >= c.renewal {
		s.paid = true
		if d.chance(0.06) {
			s.track(at, paymentFailed, node, u, d.next())
			at += 600
		}
		s.track(at, paymentSucceeded, node, u, d.next())
		at += 600
	}
	return at
}

// consequences is what the product's services do after something that a person did.
func (s *story) consequences(d *dice, u *User, name string, at int64) {
	switch name {
	case reportCreated:
		s.track(at+int64(d.between(300, 60_000)), reportGenerated, python, u, d.next())
	case fileUploaded:
		s.track(at+int64(d.between(800, 90_000)), fileImported, java, u, d.next())
	case inviteSent:
		s.track(at+int64(d.between(300, 4_000)), emailDelivered, node, u, d.next())
	case "Comment Added":
		s.track(at+int64(d.between(300, 4_000)), emailDelivered, node, u, d.next())
		if d.chance(0.6) {
			s.track(at+int64(d.between(200, 2_000)), notificationPushed, ruby, u, d.next())
		}
	case "Alert Acknowledged":
		s.track(at+int64(d.between(100, 2_000)), webhookDelivered, golang, u, d.next())
	}
}
