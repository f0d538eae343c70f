package bench

import (
	"fmt"
	"math/rand/v2"
)

type browser struct{ os, osVersion, agent string }

var browsers = []browser{
	{"Windows", "10", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"},
	{"Windows", "10", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"},
	{"macOS", "10.15.7", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"},
	{"macOS", "10.15.7", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"},
	{"Linux", "x86_64", "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"},
	{"Android", "15", "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36"},
	{"iOS", "18.5", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"},
}

var (
	screens = [][2]int{{1920, 1080}, {2560, 1440}, {1440, 900}, {1366, 768}, {3840, 2160}, {390, 844}, {412, 915}}
	pages   = []string{"overview", "reports", "reports/weekly", "settings/members", "settings/billing", "pipelines", "alerts", "dashboards/main"}
	titles  = []string{"Overview | Console", "Reports | Console", "Weekly report | Console", "Members | Console", "Billing | Console", "Alerts | Console"}
	locales = []string{"en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "pt-BR", "ja-JP", "nl-NL"}
	zones   = []string{"America/New_York", "America/Los_Angeles", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "America/Sao_Paulo"}
	plans   = []string{"free", "team", "business", "enterprise"}
	words   = []string{"quarterly", "draft", "revenue", "northern", "pipeline", "onboarding", "review", "launch", "billing", "audit", "partner", "backlog"}
)

// eventTitles returns n names such as "Report Viewed", the same ones every time.
func eventTitles(n int) []string {
	objects := []string{"Report", "Project", "Dashboard", "Invite", "Pipeline", "Alert", "Comment", "File", "Member", "Invoice", "Query", "Webhook", "Segment", "Export", "Template"}
	verbs := []string{"Viewed", "Created", "Updated", "Deleted", "Shared", "Opened", "Exported", "Archived"}
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, objects[i%len(objects)]+" "+verbs[i/len(objects)%len(verbs)])
	}
	return out
}

// propertyPool returns the properties from which each event takes nine, numbers, texts and flags mixed.
func propertyPool() []property {
	pick := func(list []string) func(*rand.Rand) any {
		return func(r *rand.Rand) any { return list[r.IntN(len(list))] }
	}
	number := func(from, to int) func(*rand.Rand) any {
		return func(r *rand.Rand) any { return from + r.IntN(to-from) }
	}
	money := func(r *rand.Rand) any { return float64(r.IntN(100_000)) / 100 }
	flag := func(r *rand.Rand) any { return r.IntN(2) == 0 }
	title := func(r *rand.Rand) any {
		return fmt.Sprintf("%s %s %s %d", words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(1000))
	}
	id := func(prefix string) func(*rand.Rand) any {
		return func(*rand.Rand) any { return prefix + "_" + tokenHole }
	}
	return []property{
		{"plan", pick(plans)}, {"source", pick([]string{"sidebar", "search", "email", "shortcut", "link"})},
		{"projectId", id("prj")}, {"reportId", id("rep")}, {"requestId", id("req")}, {"title", title}, {"name", title},
		{"description", title}, {"rows", number(1, 2_000_000)}, {"bytes", number(100, 90_000_000)}, {"position", number(1, 50)},
		{"members", number(1, 400)}, {"retries", number(0, 4)}, {"price", money}, {"discount", money}, {"revenue", money},
		{"trial", flag}, {"cached", flag}, {"shared", flag}, {"format", pick([]string{"csv", "pdf", "xlsx", "png"})},
		{"region", pick([]string{"us-east-1", "us-west-2", "eu-central-1", "ap-northeast-1"})}, {"variant", pick([]string{"control", "a", "b"})},
		{"currency", pick([]string{"USD", "EUR", "GBP", "JPY"})}, {"filter", title}, {"query", title},
	}
}
