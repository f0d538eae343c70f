package app

import (
	"testing"
	"time"
)

func TestFlushLagKnowsTheOldestRecordThatIsNotInTheLake(t *testing.T) {
	var l flushLag
	if _, ok := l.oldest(0); ok {
		t.Error("nothing was read, and there is an oldest")
	}
	const second = int64(1_000_000)
	for i := range uint64(100) {
		l.note(i*10, int64(i)*second)
	}
	for _, c := range []struct {
		position uint64
		seconds  int64
	}{{0, 0}, {5, 0}, {10, 1}, {19, 1}, {500, 50}, {995, 99}} {
		got, ok := l.oldest(c.position)
		if !ok || got.UnixMicro() != c.seconds*second {
			t.Errorf("position %d: %v %v, want %d s", c.position, got, ok, c.seconds)
		}
	}
	l.note(400, 40*second) // read again after trouble
	if got, _ := l.oldest(400); got != time.UnixMicro(40*second) {
		t.Errorf("after a replay: %v", got)
	}
}

func TestFlushLagStaysSmall(t *testing.T) {
	var l flushLag
	for i := range uint64(50_000) {
		l.note(i, int64(i)*markEvery)
	}
	if len(l.marks) > maxMarks {
		t.Errorf("%d marks", len(l.marks))
	}
	// The position is where reading began: the mark there must have survived the thinning.
	if got, ok := l.oldest(0); !ok || got.UnixMicro() != 0 {
		t.Errorf("the oldest is %v", got)
	}
	l = flushLag{}
	for i := range uint64(1000) {
		l.note(i, int64(i)) // a burst within a millisecond
	}
	if len(l.marks) != 1 {
		t.Errorf("%d marks of one moment", len(l.marks))
	}
}
