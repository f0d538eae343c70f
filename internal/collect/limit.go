package collect

import (
	"math"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// limiter is a token bucket of events. A nil limiter lets everything pass.
type limiter struct{ l *rate.Limiter }

// newLimiter makes a bucket that a whole batch fits into, however low the rate.
func newLimiter(perSecond float64, batch int) *limiter {
	if perSecond <= 0 {
		return nil
	}
	burst := max(int(math.Ceil(perSecond)), batch)
	return &limiter{rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// take asks for n events; where they are refused it gives the whole seconds after which they will fit.
func (l *limiter) take(now time.Time, n int) (seconds string, ok bool) {
	if l == nil || l.l.AllowN(now, n) {
		return "", true
	}
	missing := float64(min(n, l.l.Burst())) - l.l.TokensAt(now)
	wait := math.Ceil(missing / float64(l.l.Limit()))
	return strconv.Itoa(int(max(wait, 1))), false
}
