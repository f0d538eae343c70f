package demo

import (
	"fmt"
	"strings"
	"time"
)

const stampLayout = "2006-01-02T15:04:05.000Z"

// appendCall appends call i of the month as JSON, as its library would send it within a batch.
func (m *Month) appendCall(dst []byte, i int) []byte {
	c := &m.Calls[i]
	d := throw(c.seed)
	o := &object{b: append(dst, '{')}
	at := time.UnixMilli(c.at).UTC()
	o.text("type", c.kind.String()).text("messageId", m.messageID(i)).text("timestamp", at.Format(stampLayout))
	if c.user != nil {
		o.text("userId", c.user.ID)
	}
	if c.user == nil || c.library <= android {
		o.text("anonymousId", c.visitor)
	}
	m.describe(o, d, c)
	o.open("context")
	m.context(o, d, c)
	o.close().close()
	return o.b
}

// messageID differs between calls and between days on which the demo is run, and is the same on the same day.
func (m *Month) messageID(i int) string {
	id := uuid(throw(m.seed, uint64(m.today.Unix()), uint64(i)))
	if m.Calls[i].library == browser {
		return fmt.Sprintf("ajs-next-%d-%s", m.Calls[i].at, id)
	}
	return id
}

// describe writes what is special to the kind of the call.
func (m *Month) describe(o *object, d *dice, c *Call) {
	u := c.user
	switch c.kind {
	case track:
		e := &m.events[c.event]
		o.text("event", e.name).open("properties")
		e.properties(o, d, u)
		o.close()
	case identify:
		o.open("traits").text("email", u.Email).text("firstName", u.FirstName).text("lastName", u.LastName).text("title", u.Title).
			text("role", strings.ToLower(u.Role)).text("createdAt", u.CreatedAt.UTC().Format(stampLayout)).
			open("company").text("id", u.Company.ID).text("name", u.Company.Name).close().close()
	case group:
		g := u.Company
		plan, paying := g.planOn(c.day(m)), g.Paying
		if plan != g.Plan {
			paying = plan != Free
		}
		o.text("groupId", g.ID).open("traits").text("name", g.Name).text("plan", plan).text("industry", g.Industry).
			text("website", "https://"+g.Domain).number("employees", g.Employees).flag("paying", paying).
			text("createdAt", g.CreatedAt.UTC().Format(stampLayout)).close()
	case alias:
		o.text("previousId", c.visitor)
	case page:
		name := pageName(c)
		o.text("name", name).open("properties")
		pageFields(o, c, name)
		o.close()
	case screen:
		o.text("name", pageName(c)).open("properties").flag("offline", d.chance(0.04)).close()
	}
}

// pageName names the page or screen of a call: its seed decides, so that the properties and the context agree.
func pageName(c *Call) string {
	if c.user == nil {
		return throw(c.seed, 1).pick(sitePages)
	}
	return throw(c.seed, 1).pick(appPages)
}

// pageFields writes what analytics.js tells of a page.
func pageFields(o *object, c *Call, name string) {
	host := "https://app.tideline.example"
	if c.user == nil {
		host = "https://www.tideline.example"
	}
	path := "/" + strings.ReplaceAll(strings.ToLower(name), " ", "-")
	o.text("path", path).text("referrer", host+"/").text("search", "").text("title", name+" | Tideline").text("url", host+path)
}

// context writes the context of a call, as its library fills it in.
func (m *Month) context(o *object, d *dice, c *Call) {
	s := &m.sdks[c.library]
	o.open("library").text("name", s.name).text("version", s.version).close()
	switch c.library {
	case browser:
		agent, locale := agents[d.below(len(agents))], locales[d.below(len(locales))]
		zone := "Europe/London"
		if c.user != nil {
			agent, locale, zone = c.user.agent, c.user.locale, c.user.Company.zone.name
		}
		o.text("userAgent", agent).text("locale", locale).text("timezone", zone)
		o.open("page")
		pageFields(o, c, pageName(c))
		o.close()
	case ios, android:
		device, maker, system, version := iphones[c.user.index%len(iphones)], "Apple", "iOS", "18.5"
		if c.library == android {
			device, maker, system, version = androids[c.user.index%len(androids)], "Google", "Android", "15"
		}
		o.open("app").text("name", "Tideline").text("version", "7.2."+fmt.Sprint(c.user.index%5)).text("build", "7020").close()
		o.open("device").text("id", c.user.anonymous).text("manufacturer", maker).text("model", device).text("type", strings.ToLower(system)).close()
		o.open("os").text("name", system).text("version", version).close()
		o.open("network").flag("wifi", d.chance(0.7)).flag("cellular", true).close()
		o.open("screen").number("width", 390).number("height", 844).close()
		o.text("locale", c.user.locale).text("timezone", c.user.Company.zone.name)
	}
	if c.user != nil {
		o.text("groupId", c.user.Company.ID)
	}
}
