package demo

import "strings"

// event is one of the product's track events.
type event struct {
	name       string
	weight     int // how often people do it; 0: it follows from something else
	by         library
	properties func(o *object, d *dice, u *User)
}

// The events that follow from others.
const (
	signedUp           = "Signed Up"
	inviteSent         = "Invite Sent"
	inviteAccepted     = "Invite Accepted"
	planUpgraded       = "Plan Upgraded"
	planDowngraded     = "Plan Downgraded"
	paymentSucceeded   = "Payment Succeeded"
	paymentFailed      = "Payment Failed"
	reportCreated      = "Report Created"
	reportGenerated    = "Report Generated"
	fileUploaded       = "File Uploaded"
	fileImported       = "File Imported"
	emailDelivered     = "Email Delivered"
	notificationPushed = "Notification Pushed"
	apiCalled          = "API Called"
	webhookDelivered   = "Webhook Delivered"
)

// events lists all of them. Those with a weight are done by people in the browser or the apps; the others are sent by the
// product's own services.
func events() []event {
	return append(userEvents(), serviceEvents()...)
}

func userEvents() []event {
	report := func(o *object, d *dice, _ *User) {
		o.text("reportId", token(d, "rep")).text("report_name", d.pick(reports)).number("rows", d.between(1, 40_000))
		o.flag("cached", d.chance(0.4)).text("source", d.pick(sources))
	}
	project := func(o *object, d *dice, _ *User) {
		o.text("projectId", token(d, "prj")).text("name", d.pick(reports)+" "+d.pick(formats)).number("members", d.between(1, 25))
	}
	return []event{
		{"Signed In", 60, browser, func(o *object, d *dice, _ *User) {
			o.text("method", d.pick([]string{"password", "google", "sso"})).flag("remembered", d.chance(0.6))
		}},
		{"Dashboard Viewed", 150, browser, func(o *object, d *dice, _ *User) {
			o.text("dashboardId", token(d, "dsh")).number("widgets", d.between(1, 16)).float("loadSeconds", float64(d.between(120, 4000))/1000)
		}},
		{"Report Viewed", 190, browser, report},
		{reportCreated, 26, browser, report},
		{"Report Exported", 34, browser, func(o *object, d *dice, u *User) { report(o, d, u); o.text("format", d.pick(formats)) }},
		{"Report Shared", 22, browser, func(o *object, d *dice, u *User) {
			report(o, d, u)
			o.list("recipients", u.Email, "team@"+u.Company.Domain)
		}},
		{"Project Created", 16, browser, project},
		{"Project Archived", 5, browser, project},
		{"Search Performed", 80, browser, func(o *object, d *dice, _ *User) {
			o.text("query", strings.ToLower(d.pick(reports))).number("results", d.below(60))
		}},
		{"Filter Applied", 90, browser, func(o *object, d *dice, _ *User) {
			o.open("filter").text("field", d.pick([]string{"plan", "country", "owner", "month"})).text("operator", "equals").close().number("rows", d.below(5000))
		}},
		{"Comment Added", 38, browser, func(o *object, d *dice, _ *User) {
			o.number("length", d.between(3, 600)).number("mentions", d.below(4)).flag("attachment", d.chance(0.1))
		}},
		{inviteSent, 9, browser, func(o *object, d *dice, _ *User) {
			o.text("role", d.pick([]string{Member, Member, Administrator})).number("seatsLeft", d.below(40))
		}},
		{"Alert Created", 8, browser, func(o *object, d *dice, _ *User) {
			o.text("metric", d.pick(reports)).float("threshold", float64(d.between(1, 99_999))/100)
		}},
		{"Alert Acknowledged", 30, browser, func(o *object, d *dice, _ *User) { o.number("minutes", d.between(1, 300)) }},
		{"Integration Connected", 4, browser, func(o *object, d *dice, _ *User) { o.text("service", d.pick(services)) }},
		{fileUploaded, 18, browser, func(o *object, d *dice, _ *User) {
			o.text("format", d.pick(formats)).number("bytes", d.between(900, 48_000_000))
		}},
		{"Settings Changed", 7, browser, func(o *object, d *dice, _ *User) {
			o.text("section", d.pick([]string{"profile", "notifications", "team"}))
		}},
		{"Help Article Viewed", 14, browser, func(o *object, d *dice, _ *User) { o.text("article", "how-to-"+d.pick(formats)) }},
	}
}

func serviceEvents() []event {
	money := func(o *object, d *dice, u *User) {
		o.text("invoiceId", token(d, "inv")).float("amount", price(u.Company)).text("currency", "USD").text("plan", u.Company.Plan)
	}
	change := func(o *object, _ *dice, u *User) {
		o.text("from", u.Company.before).text("to", u.Company.Plan).number("seats", len(u.Company.users))
	}
	return []event{
		{signedUp, 0, node, func(o *object, d *dice, u *User) {
			o.text("plan", u.Company.Plan).text("source", d.pick([]string{"search", "friend", "ad", "blog"})).flag("invited", u.Role == Member)
		}},
		{inviteAccepted, 0, node, func(o *object, d *dice, _ *User) { o.number("hours", d.between(1, 200)) }},
		{planUpgraded, 0, node, change},
		{planDowngraded, 0, node, change},
		{paymentSucceeded, 0, node, money},
		{paymentFailed, 0, node, func(o *object, d *dice, u *User) { money(o, d, u); o.text("reason", "card_declined") }},
		{reportGenerated, 0, python, func(o *object, d *dice, _ *User) {
			o.text("reportId", token(d, "rep")).float("seconds", float64(d.between(150, 60_000))/1000).number("rows", d.between(1, 2_000_000))
		}},
		{fileImported, 0, java, func(o *object, d *dice, _ *User) {
			o.number("rows", d.between(1, 200_000)).number("rejected", d.below(12))
		}},
		{emailDelivered, 0, node, func(o *object, d *dice, _ *User) {
			o.text("template", d.pick([]string{"invite", "digest", "alert"})).flag("opened", d.chance(0.5))
		}},
		{notificationPushed, 0, ruby, func(o *object, d *dice, _ *User) { o.flag("opened", d.chance(0.3)).number("devices", d.between(1, 3)) }},
		{apiCalled, 0, golang, func(o *object, d *dice, _ *User) {
			o.text("method", d.pick([]string{"GET", "GET", "POST"})).text("path", "/v2/"+d.pick([]string{"reports", "projects", "rows"}))
			o.number("status", []int{200, 200, 200, 201, 404, 429}[d.below(6)]).float("ms", float64(d.between(10, 9000))/10)
		}},
		{webhookDelivered, 0, golang, func(o *object, d *dice, _ *User) { o.number("attempt", d.between(1, 3)).number("status", 200) }},
	}
}

// price is what a company pays a month.
func price(c *Company) float64 {
	if c.Plan == Enterprise {
		return 49.5 * float64(len(c.users))
	}
	return 19.9 * float64(len(c.users))
}

// token returns an identifier such as rep_1a2b3c4d.
func token(d *dice, prefix string) string {
	const digits = "0123456789abcdef"
	b := append([]byte(prefix), '_')
	for v, i := d.next(), 0; i < 8; i++ {
		b, v = append(b, digits[v&15]), v>>4
	}
	return string(b)
}
