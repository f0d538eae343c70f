package demo

// dice is a small random number generator (splitmix64) whose numbers will be the same for ever: the demo's month must not
// change with the version of a library.
type dice struct{ state uint64 }

// throw returns dice that depend on all of the numbers.
func throw(numbers ...uint64) *dice {
	d := &dice{}
	for _, n := range numbers {
		d.state = d.next() ^ n
	}
	d.next()
	return d
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	x := d.state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below returns a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// between returns a number from low to high, both included.
func (d *dice) between(low, high int) int { return low + d.below(high-low+1) }

// chance is true with the probability p.
func (d *dice) chance(p float64) bool { return float64(d.next()>>11)/(1<<53) < p }

func (d *dice) pick(list []string) string { return list[d.below(len(list))] }

// weighted returns an index, each as often as its weight says.
func (d *dice) weighted(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := d.below(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return len(weights) - 1
}
