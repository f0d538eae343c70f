package archive

import (
	"strconv"
	"strings"
	"time"
)

// dayOf reads the day out of the folders of a name: the last one that is a day in Unix milliseconds or seconds, as 2006-01-02 or
// 01-02-2006, or three that are year, month and day.
func dayOf(name string) int64 {
	folders := strings.Split(name, "/")
	folders = folders[:len(folders)-1]
	for i := len(folders) - 1; i >= 0; i-- {
		if t, ok := dayIn(folders[i]); ok {
			return t.UnixMicro()
		}
		if i >= 2 {
			if t, err := time.Parse("2006/01/02", strings.Join(folders[i-2:i+1], "/")); err == nil && plausible(t) {
				return t.UnixMicro()
			}
		}
	}
	return NoDay
}

func dayIn(folder string) (time.Time, bool) {
	folder = folder[strings.LastIndexByte(folder, '=')+1:] // date=2026-01-31
	for _, layout := range [...]string{time.DateOnly, "01-02-2006", "20060102"} {
		if t, err := time.Parse(layout, folder); err == nil && plausible(t) {
			return t, true
		}
	}
	n, err := strconv.ParseInt(folder, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	t := time.Unix(n, 0)
	if len(folder) >= 12 {
		t = time.UnixMilli(n)
	} else if len(folder) < 9 {
		return time.Time{}, false
	}
	t = t.UTC().Truncate(24 * time.Hour)
	return t, plausible(t)
}

// plausible keeps other numbers from being taken for days.
func plausible(t time.Time) bool { return t.Year() >= 2000 && t.Year() < 2100 }

// Folders are the names of the folders that a file lies in, the outermost first.
func (f File) Folders() []string {
	all := strings.Split(f.Name, "/")
	return all[:len(all)-1]
}
