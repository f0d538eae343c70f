package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/klauspost/compress/s2"
)

// IP policies: what becomes of the addresses of people.
const (
	IPKeep     uint8 = iota // as it is
	IPTruncate              // IPv4 to /24, IPv6 to /48
	IPDrop                  // left out
)

// MaxBody bounds the body of a request in bytes, whatever the configuration says: DecodeRequest refuses more.
const MaxBody = 64 << 20

// Request is one accepted (or refused) HTTP call as it goes through the journal.
type Request struct {
	Source   string // configured source name; "" when unknown (refused only)
	Type     string // from the path: track|identify|page|screen|group|alias; "" for batch and import
	IP       string // peer address after proxies; "" when the policy drops it
	IPPolicy uint8  // IPKeep, IPTruncate or IPDrop
	Client   bool   // client-side traffic: context.ip is filled in
	// TrustTimestamp keeps a readable timestamp of the call as it came instead of correcting it by the client's clock.
	TrustTimestamp bool
	Refused        string // non-empty: a refused call; Body goes to dead letters with this reason
	Body           []byte // decompressed JSON as it came
	MaxEvent       int    // bytes; larger items of a batch go to dead letters; 0: no limit
	MaxBatch       int    // items; the surplus of a batch goes to dead letters; 0: no limit
}

const requestVersion = 1

// Flags of the header; the two lowest bits are the IP policy.
const (
	flagClient = 1 << (iota + 2)
	flagTrust
	flagsEnd
)

// AppendTo appends the binary form: a version byte, the flags, the limits and the strings as uvarints, then the s2 block of Body.
func (r *Request) AppendTo(dst []byte) []byte {
	flags := uint64(r.IPPolicy & 3)
	if r.Client {
		flags |= flagClient
	}
	if r.TrustTimestamp {
		flags |= flagTrust
	}
	dst = append(dst, requestVersion)
	dst = binary.AppendUvarint(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(max(r.MaxEvent, 0)))
	dst = binary.AppendUvarint(dst, uint64(max(r.MaxBatch, 0)))
	for _, s := range [...]string{r.Source, r.Type, r.IP, r.Refused} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return appendBlock(dst, r.Body)
}

func appendBlock(dst, body []byte) []byte {
	n, most := len(dst), s2.MaxEncodedLen(len(body))
	if most < 0 {
		most = 0
	}
	if cap(dst)-n < most {
		dst = append(dst, make([]byte, most)...)[:n]
	}
	block := s2.Encode(dst[n:n+most], body)
	return dst[:n+len(block)]
}

var errRequest = errors.New("not a journaled request")

// DecodeRequest is the inverse of AppendTo. It never panics, whatever the bytes, and the result does not alias b.
func DecodeRequest(b []byte) (Request, error) {
	var r Request
	err := r.Decode(b)
	return r, err
}

// Decode is DecodeRequest into r; the capacity of r.Body is used again.
func (r *Request) Decode(b []byte) error {
	body := r.Body
	*r = Request{}
	if len(b) == 0 {
		return fmt.Errorf("%w: empty", errRequest)
	}
	if b[0] != requestVersion {
		return fmt.Errorf("%w: version %d, this program reads %d", errRequest, b[0], requestVersion)
	}
	in := input{b: b[1:]}
	flags := in.uvarint(flagsEnd - 1)
	r.IPPolicy, r.Client, r.TrustTimestamp = uint8(flags&3), flags&flagClient != 0, flags&flagTrust != 0
	r.MaxEvent, r.MaxBatch = int(in.uvarint(1<<40)), int(in.uvarint(1<<40))
	r.Source, r.Type, r.IP, r.Refused = in.text(), in.text(), in.text(), in.text()
	if in.bad || r.IPPolicy > IPDrop {
		return fmt.Errorf("%w: broken header", errRequest)
	}
	n, err := s2.DecodedLen(in.b)
	if err != nil {
		return fmt.Errorf("%w: %w", errRequest, err)
	}
	if n > MaxBody {
		return fmt.Errorf("%w: a body of %d bytes", errRequest, n)
	}
	if r.Body, err = s2.Decode(body[:cap(body)], in.b); err != nil {
		return fmt.Errorf("%w: %w", errRequest, err)
	}
	return nil
}

// input reads the header; after the first error it gives zero values and bad is set.
type input struct {
	b   []byte
	bad bool
}

func (in *input) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 || v > most {
		in.bad, in.b = true, nil
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *input) text() string {
	n := in.uvarint(uint64(len(in.b)))
	if n > uint64(len(in.b)) {
		in.bad, in.b = true, nil
		return ""
	}
	s := string(in.b[:n])
	in.b = in.b[n:]
	return s
}

// ApplyIPPolicy returns the address as the policy lets it be stored: "" when it is dropped, or cannot be read and so not be truncated.
func ApplyIPPolicy(policy uint8, ip string) string {
	switch policy {
	case IPKeep:
		return ip
	case IPTruncate:
		a, err := netip.ParseAddr(ip)
		if err != nil {
			return ""
		}
		a = a.Unmap().WithZone("")
		bits := 48
		if a.Is4() {
			bits = 24
		}
		p, err := a.Prefix(bits)
		if err != nil {
			return ""
		}
		return p.Addr().String()
	default:
		return ""
	}
}
