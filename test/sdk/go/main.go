// Command go sends every kind of call by segmentio/analytics-go and prints what it sent.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"sync"
	"time"

	analytics "github.com/segmentio/analytics-go/v3"
)

// version is that of the module in go.mod; the SDK reports itself as analytics.Version.
const version = "3.3.0"

func main() {
	if err := run(os.Getenv("FIRTH_HOST"), os.Getenv("FIRTH_WRITE_KEY"), os.Getenv("FIRTH_RUN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(host, key, id string) error {
	sent := calls(id)
	answers := &answers{}
	answers.pending.Add(len(sent))
	client, err := analytics.NewWithConfig(key, analytics.Config{
		Endpoint: host, Interval: 100 * time.Millisecond, Callback: answers,
		DefaultContext: &analytics.Context{App: analytics.AppInfo{Name: "firth-sdk-test"}},
	})
	if err != nil {
		return err
	}
	for _, call := range sent {
		if err := client.Enqueue(call); err != nil {
			return err
		}
	}
	answers.pending.Wait() // Close would give up what is not delivered yet
	if err := client.Close(); err != nil {
		return err
	}
	if answers.err != nil {
		return answers.err
	}
	return report(sent)
}

// answers waits until every message was delivered, or given up.
type answers struct {
	pending sync.WaitGroup
	mu      sync.Mutex
	err     error
}

func (a *answers) Success(analytics.Message) { a.pending.Done() }

func (a *answers) Failure(_ analytics.Message, err error) {
	a.mu.Lock()
	a.err = err
	a.mu.Unlock()
	a.pending.Done()
}

// report prints the calls; the SDK fills their types in on copies of its own, so they are added here.
func report(sent []analytics.Message) error {
	out := make([]map[string]any, len(sent))
	for i, call := range sent {
		text, err := json.Marshal(call)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			return err
		}
		out[i]["type"] = kind(call)
		// The numbers as they were given: a decoded float64 would not hold them.
		if m, ok := call.(analytics.Track); ok {
			out[i]["properties"] = m.Properties
		}
		if at, ok := out[i]["timestamp"].(string); ok && at == "0001-01-01T00:00:00Z" {
			delete(out[i], "timestamp")
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"library": "segmentio/analytics-go", "version": version, "calls": out})
}

func kind(call analytics.Message) string {
	switch call.(type) {
	case analytics.Identify:
		return "identify"
	case analytics.Track:
		return "track"
	case analytics.Page:
		return "page"
	case analytics.Screen:
		return "screen"
	case analytics.Group:
		return "group"
	default:
		return "alias"
	}
}

// kinds holds values of every kind that JSON from Go can hold.
func kinds() analytics.Properties {
	return analytics.Properties{
		"id": "order-17", "order": "a reserved word", "text": "plain", "unicode": "Zoë, 日本語, 🌊, \u00a0\u2028",
		"nul": "before\x00after", "quoted": "it's \"quoted\" \\ / \t", "empty": "", "numericText": "0012",
		"whole": 42, "negative": -7, "zero": 0, "largest": int64(math.MaxInt64), "smallest": int64(math.MinInt64),
		"beyond": uint64(math.MaxUint64), "price": 18.99, "tiny": 1e-7, "huge": 1e21, "yes": true, "no": false, "nothing": nil,
		"happenedAt": time.Date(2025, 2, 3, 4, 5, 6, 789012400, time.UTC),
		"zoned":      time.Date(2025, 4, 2, 6, 39, 3, 250000000, time.FixedZone("", 5*3600+1800)),
		"day":        "2024-02-29", "notADay": "2023-02-29", "Coupon Code": "SPRING", "__proto__": map[string]any{"polluted": true},
		"shipping": map[string]any{"address": map[string]any{"city": "Zürich", "postalCode": "8001"}, "weightKg": 1.5, "express": false, "parcels": 2},
		"products": []map[string]any{{"sku": "a-1", "quantity": 2, "price": 9.495}, {"sku": "b\"2", "quantity": 1, "price": 0}},
		"tags":     []string{"x", "日本"}, "mixed": []any{1, "two", nil, true, map[string]any{"three": 3}},
		"none": []string{}, "nobody": map[string]any{},
	}
}

func calls(id string) []analytics.Message {
	user, anon, company := "user-"+id, "anon-"+id, "company-"+id
	number := -1
	next := func() string { number++; return fmt.Sprintf("go-%s-%d", id, number) }
	at := func(day, hour, minute, second, nano int) time.Time {
		return time.Date(2025, 3, day, hour, minute, second, nano, time.UTC)
	}
	context := &analytics.Context{
		IP: net.IPv4(203, 0, 113, 9), Locale: "de-CH", Campaign: analytics.CampaignInfo{Name: "Spring 🌱", Source: "newsletter"},
		Extra: map[string]any{"custom": map[string]any{"Flag": true, "level": 7, "ratio": 0.25}},
	}
	traits := analytics.Traits{
		"id": "crm-7", "email": "zoë@example.com", "plan": "free", "logins": 3, "score": 4.5, "admin": true, "phone": nil,
		"createdAt": time.Date(2024, 12, 24, 18, 0, 0, 0, time.UTC), "address": map[string]any{"city": "Zürich", "postalCode": "8001"},
	}
	firm := analytics.Traits{
		"name": "Wéird & Söns", "employees": 12, "mrr": 1234.56, "trialEndsAt": time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC),
		"domains": []string{"example.com", "example.org"},
	}
	const signedUp = "Signed Up 🎉"
	return []analytics.Message{
		analytics.Identify{MessageId: next(), UserId: user, AnonymousId: anon, Timestamp: at(1, 10, 20, 30, 123456700), Traits: traits},
		analytics.Identify{MessageId: next(), UserId: user, AnonymousId: anon,
			Traits: analytics.Traits{"plan": "paid", "company": map[string]any{"name": "Wéird & Söns", "employees": 12}}},
		analytics.Track{MessageId: next(), UserId: user, AnonymousId: anon, Event: "Order Completed", Timestamp: at(1, 10, 21, 0, 456000000),
			Properties: kinds(), Context: context, Integrations: analytics.Integrations{"All": true, "Mixpanel": false}},
		analytics.Track{MessageId: next(), AnonymousId: anon, Event: signedUp, Properties: analytics.Properties{"plan": "free", "seats": 1}},
		analytics.Track{MessageId: next(), UserId: user, AnonymousId: anon, Event: signedUp, Properties: analytics.Properties{"plan": "free", "seats": 2.5}},
		analytics.Track{MessageId: next(), UserId: user, AnonymousId: anon, Event: "日本語", Properties: analytics.Properties{"tracksOnly": true}},
		analytics.Page{MessageId: next(), UserId: user, AnonymousId: anon, Name: "Install", Timestamp: at(2, 0, 0, 0, 1000000),
			Properties: analytics.Properties{"depth": 2, "section": "unpack", "readAt": at(1, 23, 59, 59, 0)}},
		analytics.Screen{MessageId: next(), UserId: user, AnonymousId: anon, Name: "Home", Properties: analytics.Properties{"depth": 1, "landscape": false}},
		analytics.Group{MessageId: next(), UserId: user, AnonymousId: anon, GroupId: company, Timestamp: at(2, 8, 0, 0, 0), Traits: firm},
		analytics.Group{MessageId: next(), UserId: user, AnonymousId: anon, GroupId: company, Traits: analytics.Traits{"employees": 13, "plan": "paid"}},
		analytics.Alias{MessageId: next(), UserId: user, PreviousId: "old-" + id},
	}
}
