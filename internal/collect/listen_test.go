package collect

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// listen serves the handler on loopback until the test ends.
func listen(t testing.TB, h http.Handler) (addr string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
