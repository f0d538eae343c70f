package lake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	encoding "encoding/json" // the package has a helper named json
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"firth/internal/disk"
	"firth/internal/event"
)

// Suppression says that the calls of a person are not stored: those of a journal from an offset on, and all that come another way. Of the
// person there is a keyed hash only.
type Suppression struct {
	Kind   string `json:"kind"` // user or anonymous
	Hash   string `json:"hash"` // HMAC-SHA256 of the id, hexadecimal
	Source string `json:"source,omitempty"`
	Log    string `json:"log"`
	Offset uint64 `json:"offset"`
	Since  int64  `json:"since"` // Unix microseconds
}

// The kinds of suppressions.
const (
	KindUser      = "user"
	KindAnonymous = "anonymous"
)

const (
	suppressName    = "suppressed.json"
	suppressKeyName = "key"
	suppressVersion = 1
	keyBytes        = 32
)

// suppressions are what is known of suppressed people. Safe for concurrent use.
type suppressions struct {
	fs  disk.FS
	dir string // "": none are kept

	mu     sync.Mutex
	key    []byte
	all    map[event.Hash][]Suppression
	saved  bool
	orders int64                 // grows with every change of all
	recent map[string]event.Hash // hashes of ids that were asked for lately
}

// recentHashes bounds what is remembered of ids that were asked for.
const recentHashes = 32 << 10

// openSuppressions reads what is kept in a folder, which is made with the first suppression.
func openSuppressions(fsys disk.FS, dir string) (*suppressions, error) {
	s := &suppressions{fs: fsys, dir: dir, all: map[event.Hash][]Suppression{}, saved: true, recent: map[string]event.Hash{}}
	if dir == "" {
		return s, nil
	}
	key, err := disk.ReadFile(fsys, filepath.Join(dir, suppressKeyName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of suppressions: %w", err)
	}
	if s.key, err = hex.DecodeString(string(bytes.TrimSpace(key))); err != nil || len(s.key) != keyBytes {
		return nil, fmt.Errorf("%s is damaged: it does not hold %d bytes in hexadecimal digits; put it back from a copy, or whom it suppresses is stored again",
			filepath.Join(dir, suppressKeyName), keyBytes)
	}
	text, err := disk.ReadFile(fsys, filepath.Join(dir, suppressName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return s, s.parse(text)
}

func (s *suppressions) parse(text []byte) error {
	var kept struct {
		Version      int           `json:"version"`
		Suppressions []Suppression `json:"suppressions"`
	}
	if err := encoding.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("%s is damaged: %w", filepath.Join(s.dir, suppressName), err)
	}
	if kept.Version != suppressVersion {
		return fmt.Errorf("%s has version %d and this version of Firth reads %d: run the version that wrote it, or a newer one",
			filepath.Join(s.dir, suppressName), kept.Version, suppressVersion)
	}
	for _, one := range kept.Suppressions {
		h, err := ParseHash(one.Kind, one.Hash)
		if err != nil {
			return fmt.Errorf("%s is damaged: %w", filepath.Join(s.dir, suppressName), err)
		}
		s.all[h] = append(s.all[h], one)
	}
	return nil
}

// ParseHash reads the hash of a suppression.
func ParseHash(kind, text string) (event.Hash, error) {
	h := event.Hash{Kind: event.HashUser}
	if kind == KindAnonymous {
		h.Kind = event.HashAnonymous
	} else if kind != KindUser {
		return h, fmt.Errorf("unknown kind %q", kind)
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(h.Sum) {
		return h, fmt.Errorf("%q is no hash of a suppression: %d hexadecimal digits", text, 2*len(h.Sum))
	}
	copy(h.Sum[:], b)
	return h, nil
}

func kindOf(h event.Hash) string {
	if h.Kind == event.HashAnonymous {
		return KindAnonymous
	}
	return KindUser
}

// makeKey makes the key where there is none, durably.
func (s *suppressions) makeKey(random io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return nil
	}
	if s.dir == "" {
		return errors.New("this lake keeps no suppressions")
	}
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("make the key of suppressions: %w", err)
	}
	if err := disk.MakeDir(s.fs, s.dir, 0o700); err != nil {
		return err
	}
	if err := disk.WriteFile(s.fs, filepath.Join(s.dir, suppressKeyName), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return err
	}
	s.key = key
	return nil
}

// hash is that of an id. mu is held.
func (s *suppressions) hash(kind byte, id string) event.Hash {
	asked := string(kind) + id
	if h, ok := s.recent[asked]; ok {
		return h
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte{kind, 0})
	mac.Write([]byte(id))
	h := event.Hash{Kind: kind}
	mac.Sum(h.Sum[:0])
	if len(s.recent) >= recentHashes {
		clear(s.recent)
	}
	s.recent[asked] = h
	return h
}

// forget drops what is remembered of ids.
func (s *suppressions) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.recent)
}

// add takes in suppressions. One that is known for as much stays as it is.
func (s *suppressions) add(o event.Order, log string, offset uint64, since int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range o.Hashes {
		known := slices.ContainsFunc(s.all[h], func(k Suppression) bool {
			return (k.Source == "" || k.Source == o.Source) && (k.Log != log || k.Offset <= offset)
		})
		if known {
			continue
		}
		one := Suppression{Kind: kindOf(h), Hash: hex.EncodeToString(h.Sum[:]), Source: o.Source, Log: log, Offset: offset, Since: since}
		s.all[h] = append(s.all[h], one)
		s.saved = false
		s.orders++
	}
}

// lift takes suppressions away, whatever their source.
func (s *suppressions) lift(o event.Order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range o.Hashes {
		if _, ok := s.all[h]; ok {
			delete(s.all, h)
			s.saved = false
			s.orders++
		}
	}
}

// save makes what is known durable.
func (s *suppressions) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write()
}

// write is save. mu is held.
func (s *suppressions) write() error {
	if s.saved || s.dir == "" {
		return nil
	}
	text, err := encoding.MarshalIndent(map[string]any{"version": suppressVersion, "suppressions": s.list()}, "", " ")
	if err != nil {
		return fmt.Errorf("encode suppressions: %w", err)
	}
	if err := disk.MakeDir(s.fs, s.dir, 0o700); err != nil {
		return err
	}
	if err := disk.WriteFile(s.fs, filepath.Join(s.dir, suppressName), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep suppressions: %w", err)
	}
	s.saved = true
	return nil
}

// list is all of them, the oldest first. mu is held.
func (s *suppressions) list() []Suppression {
	out := []Suppression{}
	for _, of := range s.all {
		out = append(out, of...)
	}
	slices.SortFunc(out, func(a, b Suppression) int {
		return bytes.Compare(fmt.Appendf(nil, "%020d %s %s", a.Since, a.Hash, a.Source), fmt.Appendf(nil, "%020d %s %s", b.Since, b.Hash, b.Source))
	})
	return out
}

// asked is what may be suppressed: a call, or one that was refused.
type asked struct {
	source, user, anonymous string
	previous                []string
	log                     string
	offset                  uint64
	always                  bool // it comes another way than through the journal
}

func (s *suppressions) holds(a asked) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 || s.key == nil {
		return false
	}
	is := func(kind byte, id string) bool {
		if id == "" {
			return false
		}
		return slices.ContainsFunc(s.all[s.hash(kind, id)], func(k Suppression) bool {
			return (k.Source == "" || k.Source == a.source) && (a.always || k.Log != a.log || a.offset >= k.Offset)
		})
	}
	if is(event.HashUser, a.user) || is(event.HashAnonymous, a.anonymous) {
		return true
	}
	return slices.ContainsFunc(a.previous, func(id string) bool { return is(event.HashUser, id) || is(event.HashAnonymous, id) })
}

// state tells apart what is known from what was known before.
func (s *suppressions) state() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orders
}

func (s *suppressions) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0 || s.key == nil
}

// Suppressed reports whether a call of a source is one of a person whose calls are not stored: from the offset of the suppression on
// where the call came through its journal, else always. Safe for concurrent use.
func (l *Lake) Suppressed(source string, c *event.Call) bool {
	return !l.suppress.empty() && l.suppress.holds(askedOf(source, c, false))
}

func askedOf(source string, c *event.Call, always bool) asked {
	a := asked{source: source, user: c.UserID, anonymous: c.AnonymousID, log: c.Log, offset: c.Offset, always: always}
	if c.Type == "alias" {
		a.previous = previousIDs(c.Payload)
	}
	return a
}

// suppressedLetter is the same for a refused call, as far as it can be read.
func (l *Lake) suppressedLetter(d *event.DeadLetter, always bool) bool {
	if l.suppress.empty() {
		return false
	}
	return l.suppressedText(d, d.Payload, always) ||
		bytes.Contains(d.Payload, []byte(`\"`)) && l.suppressedText(d, []byte(strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(string(d.Payload))), always) // it may hold what was refused as a text
}

func (l *Lake) suppressedText(d *event.DeadLetter, text []byte, always bool) bool {
	for _, m := range idMembers.FindAllSubmatch(text, -1) {
		id := unquote(m[2])
		a := asked{source: d.Source, log: d.Log, offset: d.Offset, always: always}
		switch string(m[1]) {
		case "userId", "user_id":
			a.user = id
		case "anonymousId", "anonymous_id":
			a.anonymous = id
		default:
			a.previous = []string{id}
		}
		if l.suppress.holds(a) {
			return true
		}
	}
	return false
}

// idMembers finds ids in a text that need not be whole JSON.
var idMembers = regexp.MustCompile(`"(userId|anonymousId|previousId|user_id|anonymous_id|previous_id)"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+|true|false)`)

// previousIDs reads the previousId of an alias call out of its payload.
func previousIDs(payload []byte) (ids []string) {
	for _, m := range idMembers.FindAllSubmatch(payload, -1) {
		if string(m[1]) == "previousId" {
			ids = append(ids, unquote(m[2]))
		}
	}
	return ids
}

// unquote is the text of a JSON value; one that is no text is itself.
func unquote(v []byte) string {
	var text string
	if v[0] == '"' && encoding.Unmarshal(v, &text) == nil {
		return text
	}
	if text, err := strconv.Unquote(string(v)); err == nil {
		return text
	}
	return string(bytes.Trim(v, `"`))
}

// Suppressions lists who is suppressed, the oldest first. Safe for concurrent use.
func (l *Lake) Suppressions() []Suppression {
	l.suppress.mu.Lock()
	defer l.suppress.mu.Unlock()
	return l.suppress.list()
}

// SuppressionHash is the keyed hash by which an id is suppressed; the first call makes the key. Safe for concurrent use.
func (l *Lake) SuppressionHash(kind, id string) (event.Hash, error) {
	if err := l.suppress.makeKey(l.o.Rand); err != nil {
		return event.Hash{}, err
	}
	h, err := ParseHash(kind, string(bytes.Repeat([]byte("00"), keyBytes)))
	if err != nil {
		return h, err
	}
	l.suppress.mu.Lock()
	defer l.suppress.mu.Unlock()
	return l.suppress.hash(h.Kind, id), nil
}

// order carries out an order of the journal. What it changes is durable before the batch that it is in is flushed.
func (w *Writer) order(f Frame) error {
	o, err := event.DecodeOrder(f.Payload)
	if err != nil {
		return err
	}
	switch o.Op {
	case event.OrderSuppress:
		w.l.suppress.add(o, w.log, f.Offset, f.ReceivedAt)
	case event.OrderLift:
		w.l.suppress.lift(o)
	}
	w.batch.ordered = true
	return nil
}

// suppressed reports whether what was just decoded is not to be stored, and counts it. The journal has it until its segment goes.
func (w *Writer) suppressed(yes bool) bool {
	if yes {
		w.batch.suppressed++
		w.shed = true
	}
	return yes
}

// Roller is an optional ability of a [Journal]: to begin a new file, so that the present one can be given up.
type Roller interface {
	Roll() error
}

// rollEvery is how often, while calls keep coming, a new file of the journal is begun because of calls that are not stored.
const rollEvery = 10_000_000 // microseconds

// roll makes way for the bytes of suppressed calls to leave the disk. At rest it is done at once.
func (w *Writer) roll(resting bool) error {
	r, ok := w.journal.(Roller)
	now := w.l.o.Now().UnixMicro()
	if !w.shed || !ok || !resting && now-w.rolled < rollEvery && now >= w.rolled {
		return nil
	}
	if err := r.Roll(); err != nil {
		return fmt.Errorf("let go of suppressed calls: %w", err)
	}
	w.shed, w.rolled = false, now
	return nil
}

// keepOrders makes durable what orders of the batch changed.
func (w *Writer) keepOrders(ctx context.Context) error {
	if !w.batch.ordered {
		return nil
	}
	return w.retry(ctx, func() error {
		if err := w.l.o.step("suppress"); err != nil {
			return err
		}
		return w.l.suppress.save()
	})
}

// showWindow lets a purge find the window of a table, or not any more.
func (l *Lake) showWindow(s *source, there bool) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if there {
		l.windows[s.name] = s.window
	} else {
		delete(l.windows, s.name)
	}
}

// ReadSuppressions lists who is suppressed by what is kept in a folder, the oldest first; the lake may be open elsewhere.
func ReadSuppressions(dir string) ([]Suppression, error) {
	s, err := openSuppressions(disk.OS{}, dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(), nil
}
