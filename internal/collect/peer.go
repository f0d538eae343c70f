package collect

import (
	"net/http"
	"net/netip"
	"strings"
)

// peer gives the address of the caller: the connection's, or, where that belongs to a trusted proxy, the last address of
// X-Forwarded-For that does not.
func (h *Handler) peer(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := at.Addr().Unmap()
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0 && h.trusted(addr); i-- {
		rest := lines[i]
		for rest != "" && h.trusted(addr) {
			var last string
			if j := strings.LastIndexByte(rest, ','); j >= 0 {
				rest, last = rest[:j], rest[j+1:]
			} else {
				rest, last = "", rest
			}
			next, ok := parseForwarded(strings.TrimSpace(last))
			if !ok {
				return addr.String()
			}
			addr = next
		}
	}
	return addr.String()
}

func (h *Handler) trusted(a netip.Addr) bool {
	for _, p := range h.o.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// fromTrustedProxy tells whether the connection itself comes from a trusted proxy.
func (h *Handler) fromTrustedProxy(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && h.trusted(at.Addr().Unmap())
}

// parseForwarded reads an address with or without a port.
func parseForwarded(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
