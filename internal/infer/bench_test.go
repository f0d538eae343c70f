package infer

import (
	"fmt"
	"testing"

	"firth/internal/document"
)

// small are documents such as an application has: some twenty values, optional fields, an object in an object, a list.
func small(t testing.TB, n int) []document.Value {
	texts := make([]string, n)
	for i := range texts {
		note := ""
		if i%3 == 0 {
			note = `,"note":"called back"`
		}
		texts[i] = fmt.Sprintf(`{"_id":"65a1b2c3d4e5f607182%05d","name":"Company %d","active":%v,"seats":%d,"price":%d.5,"plan":{"tier":"pro",`+
			`"since":"2024-01-02T03:04:05Z","limits":{"calls":%d,"users":10}}%s,"tags":["a","b"],"owner":null,"country":"DE","city":"Berlin",`+
			`"email":"a%d@example.com","score":0.25,"visits":%d,"plan_note":"","level":3,"ratio":1.5}`, i, i, i%2 == 0, i, i, i*1000, note, i, i)
	}
	return parse(t, texts...)
}

func BenchmarkShape(b *testing.B) {
	docs := small(b, 1000)
	s := NewShaper(count(Options{}, docs).Plan(), Options{})
	c := s.Chunk()
	b.ReportAllocs()
	for b.Loop() {
		c.Reset()
		if _, err := s.Shape(docs, c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(docs)*b.N)/b.Elapsed().Seconds(), "docs/s")
}

func BenchmarkCount(b *testing.B) {
	docs := small(b, 1000)
	c := NewCounter(Options{})
	for b.Loop() {
		for i := range docs {
			c.Add(&docs[i])
		}
	}
	b.ReportMetric(float64(len(docs)*b.N)/b.Elapsed().Seconds(), "docs/s")
}
