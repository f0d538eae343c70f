package stand

import (
	"fmt"
	"strings"
)

// WithoutReaders starts the server again without keys for readers, and with an address that leaves open how objects are addressed.
func (s *Stand) WithoutReaders() {
	s.t.Helper()
	s.Stop()
	address := strings.ReplaceAll(s.Store.URL("lake"), "&path_style=true", "")
	s.Configure(s.data, s.with(fmt.Sprintf("merge: false, url: %q", address)))
	s.start()
}
