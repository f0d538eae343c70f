package demo

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// The plans of the demo's product and the roles of its users, as the company's own database writes them.
const (
	Free       = "free"
	Pro        = "pro"
	Enterprise = "enterprise"

	Administrator = "ADMINISTRATOR"
	Member        = "MEMBER"
)

const (
	companyCount = 300
	userCount    = 2500
)

// Company is a customer: a row of the company database.
type Company struct {
	ID, Name, Domain, Industry string
	Plan                       string // at the end of the month
	Paying                     bool   // at the end of the month: those in a trial do not pay, nor does anybody on the free plan
	Employees                  int
	CreatedAt                  time.Time

	index   int
	users   []*User
	idle    bool // nobody has come all month
	devoted bool // its administrators look in every day, weekends included
	eager   float64
	zone    zone
	changed int // day of the month on which the plan changed; -1: none
	before  string
	renewal int // day of the month on which it pays
}

// planOn returns the plan on a day of the month.
func (c *Company) planOn(day int) string {
	if day < c.changed {
		return c.before
	}
	return c.Plan
}

// User is a person of a customer: a row of the company database.
type User struct {
	ID, Email, FirstName, LastName, Title string
	Company                               *Company
	Role                                  string
	CreatedAt                             time.Time

	index     int
	anonymous string
	mobile    library // the person's mobile library; browser where there is none
	onTheGo   float64 // share of the sessions on the phone
	developer bool    // calls the API
	locale    string
	agent     string
}

// makeCompanies makes the customers and their people as they are at the beginning of today.
func makeCompanies(seed uint64, today time.Time) ([]*Company, []*User) {
	companies := make([]*Company, 0, companyCount)
	order := shuffled(throw(seed, 1), len(companyFirst)*len(companySecond))
	for i := range companyCount {
		first, second := companyFirst[order[i]/len(companySecond)], companySecond[order[i]%len(companySecond)]
		companies = append(companies, makeCompany(throw(seed, 2, uint64(i)), i, first, second, today))
	}
	sizes := companySizes(seed, companies)
	users := make([]*User, 0, userCount)
	for i, c := range companies {
		for n := range sizes[i] {
			u := makeUser(throw(seed, 3, uint64(len(users))), len(users), c, today)
			if n < 1+min(sizes[i]/12, 4) {
				u.Role = Administrator
			}
			if n == 0 {
				u.CreatedAt = c.CreatedAt
			}
			c.users, users = append(c.users, u), append(users, u)
		}
	}
	return companies, users
}

func makeCompany(d *dice, index int, first, second string, today time.Time) *Company {
	c := &Company{
		ID: fmt.Sprintf("cmp_%08x", uint32(index+1)*2654435761), Name: first + " " + second,
		Domain: strings.ToLower(first+second) + ".example", Industry: d.pick(industries),
		index: index, zone: timezones[d.below(len(timezones))], changed: -1, renewal: d.below(days),
	}
	c.Plan = []string{Free, Pro, Enterprise}[d.weighted([]int{52, 36, 12})]
	c.Employees = map[string]int{Free: d.between(2, 40), Pro: d.between(10, 400), Enterprise: d.between(300, 12_000)}[c.Plan]
	c.Paying = c.Plan == Enterprise || c.Plan == Pro && d.chance(0.9)
	age := d.between(1, 1100)
	c.idle = age > days && d.chance(0.12)
	c.CreatedAt = today.AddDate(0, 0, -age).Add(time.Duration(d.between(6*3600, 20*3600)) * time.Second)
	c.devoted = d.chance(map[string]float64{Free: 0.05, Pro: 0.28, Enterprise: 0.5}[c.Plan])
	c.eager = 0.1 + float64(d.below(46))/100
	if c.devoted {
		c.eager = 0.75
	}
	switch {
	case age <= days || c.idle:
	case c.Plan == Pro && d.chance(0.08):
		c.changed, c.before = d.between(1, days-2), Free
	case c.Plan == Free && d.chance(0.06):
		c.changed, c.before = d.between(1, days-2), Pro
	}
	return c
}

// companySizes shares out the users: at least one a company, many at large ones.
func companySizes(seed uint64, companies []*Company) []int {
	weights, sum := make([]float64, len(companies)), 0.0
	for i, c := range companies {
		d := throw(seed, 4, uint64(i))
		w := float64(map[string]int{Free: d.between(1, 6), Pro: d.between(4, 20), Enterprise: d.between(18, 60)}[c.Plan])
		weights[i], sum = w, sum+w
	}
	sizes, left, largest := make([]int, len(companies)), userCount, 0
	for i, w := range weights {
		sizes[i] = max(1, int(math.Floor(userCount*w/sum)))
		left -= sizes[i]
		if sizes[i] > sizes[largest] {
			largest = i
		}
	}
	sizes[largest] += left
	return sizes
}

func makeUser(d *dice, index int, c *Company, today time.Time) *User {
	u := &User{
		ID: fmt.Sprintf("usr_%08x", uint32(index+1)*2246822519), FirstName: d.pick(firstNames), LastName: d.pick(lastNames),
		Title: d.pick(titles), Company: c, Role: Member, index: index, anonymous: uuid(d),
		mobile: browser, developer: d.chance(0.2), locale: d.pick(locales), agent: d.pick(agents),
	}
	u.Email = fmt.Sprintf("%s.%s%d@%s", plain(u.FirstName), plain(u.LastName), index%97, c.Domain)
	switch p := d.below(100); {
	case p < 18:
		u.mobile = ios
	case p < 32:
		u.mobile = android
	}
	if u.mobile != browser {
		u.onTheGo = float64(d.between(15, 90)) / 100
	}
	age := today.Sub(c.CreatedAt)
	u.CreatedAt = c.CreatedAt.Add(time.Duration(float64(age) * 0.9 * float64(d.below(1000)) / 1000)).Truncate(time.Second)
	return u
}

// plain spells a name with the letters that every mail system takes.
func plain(name string) string {
	name = strings.NewReplacer("ł", "l", "Ł", "l", "ø", "o", "é", "e", "ë", "e", "ã", "a", "á", "a", "í", "i", "ó", "o", "ü", "u").Replace(name)
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// shuffled returns the numbers below n in random order.
func shuffled(d *dice, n int) []int {
	out := make([]int, n)
	for i := range out {
		j := d.below(i + 1)
		out[i], out[j] = out[j], i
	}
	return out
}

// uuid returns a random UUID of version 4.
func uuid(d *dice) string {
	const digits = "0123456789abcdef"
	b := [36]byte{8: '-', 13: '-', 14: '4', 18: '-', 19: '8', 23: '-'}
	var v uint64
	for i, n := 0, 0; i < len(b); i++ {
		if b[i] != 0 {
			continue
		}
		if n%16 == 0 {
			v = d.next()
		}
		b[i], v, n = digits[v&15], v>>4, n+1
	}
	return string(b[:])
}
