package stand

import "os"

// Move moves the data folder of a server that was stopped, whose lake is on local disk.
func (s *Stand) Move(to string) {
	s.t.Helper()
	if err := os.Rename(s.data, to); err != nil {
		s.t.Fatal(err)
	}
	s.data = to
	s.Configure(to, s.with("merge: false"))
}
