package name_test

import (
	"testing"

	"firth/internal/name"
)

func TestNearest(t *testing.T) {
	names := []string{"users", "orders", "public.Companies", "x"}
	for wrong, want := range map[string]string{"user": "users", "USERS": "users", "order": "orders", "public.companys": "public.Companies", "inventory": "", "": "", "y": ""} {
		if got := name.Nearest(wrong, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", wrong, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"ab", "ba", 2}} {
		if got := name.Distance(tt.a, tt.b); got != tt.want || name.Distance(tt.b, tt.a) != got {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
