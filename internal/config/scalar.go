package config

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span written as 1s, 15m, 8h or 400d.
type Duration time.Duration

// Patience is a Duration after which something is told, or Never.
type Patience time.Duration

// Never is written never.
const Never Patience = -1

// Bytes is a size written as 512000, 64KiB, 32MiB or 8GB.
type Bytes int64

// Rate is a number of events a second, written as 2000/s or 100/m; zero means no limit.
type Rate float64

// Strings is a list of strings; a single string is a list of one.
type Strings []string

// Secret is a value that is never printed: env:NAME, file:PATH or the value itself.
type Secret string

// Secrets is a list of secrets; a single one is a list of one.
type Secrets []Secret

// String hides the value.
func (Secret) String() string { return "(secret)" }

// scalar is a leaf that knows how to read itself from one YAML scalar.
type scalar interface{ parse(text string) error }

func (d *Duration) parse(s string) error {
	text := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil {
			return fmt.Errorf("%q is no time span: write it as 1s, 15m, 8h or 400d", s)
		}
		text = strconv.FormatFloat(n*24, 'f', -1, 64) + "h"
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no time span: write it as 1s, 15m, 8h or 400d", s)
	}
	*d = Duration(v)
	return nil
}

func (p *Patience) parse(s string) error {
	if s == "never" {
		*p = Never
		return nil
	}
	var d Duration
	if err := d.parse(s); err != nil {
		return fmt.Errorf("%w, or never", err)
	}
	*p = Patience(d)
	return nil
}

func (b *Bytes) parse(s string) error {
	units := []struct {
		suffix string
		factor float64
	}{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*u.factor > math.MaxInt64/2 {
			break
		}
		*b = Bytes(n * u.factor)
		return nil
	}
	return fmt.Errorf("%q is no size: write it as 512000, 64KiB, 32MiB or 8GB", s)
}

func (r *Rate) parse(s string) error {
	number, unit, _ := strings.Cut(s, "/")
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || seconds == 0 || n <= 0 || math.IsInf(n, 0) {
		return fmt.Errorf("%q is no rate: write it as 2000/s or 100/m", s)
	}
	*r = Rate(n / seconds)
	return nil
}

func (s *Secret) parse(text string) error {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set || v == "" {
			return fmt.Errorf("the environment variable %s is not set: export it before the start", name)
		}
		*s = Secret(v)
		return nil
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("the secret's file cannot be read: %w", err)
		}
		*s = Secret(strings.TrimSpace(string(b)))
		return nil
	}
	*s = Secret(text)
	return nil
}
