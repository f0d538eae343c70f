package app

import (
	"fmt"
	"strconv"
	"time"
)

// sizeText writes a size for a person, in the units of the configuration.
func sizeText(bytes int64) string {
	units := []struct {
		name   string
		factor int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
	for _, u := range units {
		if bytes >= u.factor {
			return fmt.Sprintf("%.1f %s", float64(bytes)/float64(u.factor), u.name)
		}
	}
	return fmt.Sprintf("%d B", bytes)
}

// countOf is a count of things: 1 file, 2,000 files.
func countOf(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return countText(n) + " " + what
}

// countText writes a number with commas.
func countText(n int64) string {
	if n < 0 {
		return "-" + countText(-n)
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spanText writes a span of time for a person, to its two largest units.
func spanText(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
