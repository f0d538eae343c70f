package app

import (
	"testing"
	"time"
)

func TestSizesCountsAndSpansForAPerson(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 20: "10.0 MiB", 8<<30 + 512<<20: "8.5 GiB", 3 << 40: "3.0 TiB"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d bytes: %q, want %q", bytes, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -5000: "-5,000"} {
		if got := countText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0.0s", 1500 * time.Millisecond: "1.5s", 42 * time.Second: "42s", 312 * time.Second: "5m 12s",
		3*time.Hour + 5*time.Minute: "3h 05m", 400 * 24 * time.Hour: "400d",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
