package lake

import (
	"bytes"
	"context"
	encoding "encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"firth/internal/lake/rowfile"
)

// search is what files are searched for.
type search struct {
	users, anonymous map[string]bool
	messages         map[string]map[string]bool // by table

	userNeedles, anonymousNeedles [][]byte
	ids                           [][]byte // all ids, as their texts
	needles                       [][]byte // and in the ways in which a text may spell them
	cores                         [][]byte // what every spelling has: a text without any of them mentions nobody
}

func newSearch(o PurgeOptions) *search {
	s := &search{users: map[string]bool{}, anonymous: map[string]bool{}, messages: map[string]map[string]bool{}}
	spelled := map[string]bool{}
	add := func(ids []string, to map[string]bool, needles *[][]byte) {
		for _, id := range ids {
			if id == "" || to[id] {
				continue
			}
			to[id] = true
			*needles = append(*needles, []byte(id))
			s.ids = append(s.ids, []byte(id))
			if core := coreOf(id); len(core) >= leastCore {
				s.cores = append(s.cores, []byte(core))
			} else {
				for _, form := range spellings(id) {
					s.cores = append(s.cores, []byte(form))
				}
			}
			for _, form := range spellings(id) {
				spelled[form] = true
			}
		}
	}
	add(o.UserIDs, s.users, &s.userNeedles)
	add(o.AnonymousIDs, s.anonymous, &s.anonymousNeedles)
	for _, form := range slices.Sorted(maps.Keys(spelled)) {
		s.needles = append(s.needles, []byte(form))
	}
	for name, ids := range o.MessageIDs {
		s.messages[name] = map[string]bool{}
		for _, id := range ids {
			s.messages[name][id] = true
		}
	}
	return s
}

// leastCore is the least length of a core that is looked for in the place of all spellings.
const leastCore = 4

// coreOf is the longest part of an id that no spelling changes.
func coreOf(id string) (core string) {
	for part := range strings.FieldsFuncSeq(id, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		if len(part) > len(core) {
			core = part
		}
	}
	return core
}

// spellings are the ways in which JSON and URLs usually write an id.
func spellings(id string) []string {
	out := []string{id, url.QueryEscape(id), url.PathEscape(id), strings.ReplaceAll(id, "/", `\/`)}
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		e := encoding.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(id) == nil {
			if text := strings.TrimSpace(b.String()); len(text) > 2 {
				out = append(out, text[1:len(text)-1], asciiJSON(text[1:len(text)-1], "%04x"), asciiJSON(text[1:len(text)-1], "%04X"))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// asciiJSON writes what is not ASCII as \uXXXX.
func asciiJSON(text, format string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u`+format+`\u`+format, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u`+format, r)
		}
	}
	return b.String()
}

// mentioned reports whether a text has one of the ids as a word of its own: no letter, digit, underscore or hyphen beside it.
func (s *search) mentioned(text []byte) bool {
	for _, needle := range s.needles {
		for at := 0; ; at++ {
			found := bytes.Index(text[at:], needle)
			if found < 0 {
				break
			}
			at += found
			end := at + len(needle)
			if (at == 0 || !wordly(text[at-1]) || escaped(text[:at])) && (end == len(text) || !wordly(text[end])) {
				return true
			}
		}
	}
	return false
}

func wordly(b byte) bool {
	return b == '_' || b == '-' || b >= utf8.RuneSelf || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// escaped reports whether a text ends with an escape, such as \n or %3D, of which the last letter is no part of a word.
func escaped(text []byte) bool {
	n := len(text)
	return n >= 2 && text[n-2] == '\\' || n >= 3 && text[n-3] == '%' || n >= 6 && text[n-6] == '\\' && text[n-5] == 'u'
}

// hits are what was found in a file: rows in ascending order.
type hits struct {
	file     *File
	own      []int64
	mentions []int64
	ids      []string // message ids of the rows that go
	foreign  []string // and of those that are not found by their own ids
	linked   []string
}

// gone are the rows that go.
func (h *hits) gone(mentions bool) []int64 {
	if !mentions {
		return h.own
	}
	out := slices.Concat(h.own, h.mentions)
	slices.Sort(out)
	return out
}

// searchWorkers is how many files are searched at a time.
const searchWorkers = 2

// searchTable searches the files that are not known to be clean, and returns those that hold rows to be removed.
func (p *purge) searchTable(ctx context.Context, s *store, clean map[string]bool, out *PurgeTable) ([]*hits, error) {
	snap, err := s.snapshot()
	if err != nil {
		return nil, err
	}
	var todo []*File
	for _, f := range snap.Files {
		if !clean[f.Path] && p.mayHold(f) {
			todo = append(todo, f)
		}
	}
	out.Files = max(out.Files, int64(len(snap.Files)))
	if len(todo) == 0 {
		return nil, nil
	}
	if err := p.l.o.step("purge search " + s.name); err != nil {
		return nil, err
	}
	all, err := p.searchFiles(ctx, s.name, todo)
	if err != nil {
		return nil, err
	}
	out.Searched += int64(len(todo))
	var found []*hits
	for _, h := range all {
		for _, id := range h.linked {
			p.linked[id] = true
		}
		switch {
		case p.o.DryRun && len(h.own)+len(h.mentions) > 0, len(h.gone(p.o.Mentions)) > 0:
			found = append(found, h)
		default:
			clean[h.file.Path] = true
			out.Mentions += int64(len(h.mentions))
		}
	}
	return found, nil
}

// searchFiles searches files. The answer has one entry a file.
func (p *purge) searchFiles(ctx context.Context, table string, files []*File) ([]*hits, error) {
	out := make([]*hits, len(files))
	err := p.each(ctx, table, "search", len(files), func(i int) (err error) {
		out[i], err = p.searchFile(table, files[i])
		return err
	})
	return out, err
}

// each does something with n files, several at a time, on threads of low priority.
func (p *purge) each(ctx context.Context, table, step string, n int, do func(i int) error) error {
	var mu sync.Mutex
	var failed error
	next, done := 0, int64(0)
	work := func() {
		runtime.LockOSThread() // which ends with the goroutine, and its niceness with it
		if err := beNice(purgeNice); err != nil {
			p.l.o.Log.Warn("search at normal priority", "error", err)
		}
		for {
			mu.Lock()
			i := next
			next++
			stop := failed != nil || ctx.Err() != nil
			mu.Unlock()
			if stop || i >= n {
				return
			}
			err := do(i)
			mu.Lock()
			failed = errors.Join(failed, err)
			done++
			p.tell(PurgeProgress{Step: step, Table: table, Done: done, Total: int64(n)})
			mu.Unlock()
		}
	}
	var wait sync.WaitGroup
	for range searchWorkers {
		wait.Go(work)
	}
	wait.Wait()
	return errors.Join(failed, ctx.Err())
}

// searchFile searches a file of a snapshot, whose checksum is compared first.
func (p *purge) searchFile(table string, f *File) (h *hits, err error) {
	handle, err := p.l.verifier.open(f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	var in *rowfile.Input
	if table == DeadLetters {
		in, err = rowfile.OpenInput(p.l.dead, handle, f.Bytes)
	} else {
		in, err = rowfile.OpenInput(p.l.calls, handle, f.Bytes)
	}
	if err == nil {
		h, err = p.searchInput(table, f, in)
	}
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", f.Path, err)
	}
	return h, nil
}

func (p *purge) searchInput(table string, f *File, in *rowfile.Input) (*hits, error) {
	h := &hits{file: f}
	var err error
	if table == DeadLetters {
		err = p.searchLetters(h, in)
	} else {
		err = p.searchCalls(table, h, in)
	}
	if err == nil && !p.o.Suppressed {
		err = p.leave(h, in)
	}
	if err != nil || p.o.DryRun && len(h.own) == 0 {
		return h, err
	}
	return h, p.name(table, h, in)
}

// searchLetters finds refused calls that name an id.
func (p *purge) searchLetters(h *hits, in *rowfile.Input) error {
	rows := map[int64]bool{}
	err := in.Find("payload", p.look.cores, func(row int64, text []byte) error {
		if p.look.mentioned(text) {
			rows[row] = true
		}
		return nil
	})
	h.own = slices.Sorted(maps.Keys(rows))
	if err != nil || p.o.Source == "" {
		return err
	}
	var own []int64
	err = in.Pick("source", h.own, func(row int64, text []byte, _ int64, _ bool) error {
		if string(text) == p.o.Source {
			own = append(own, row)
		}
		return nil
	})
	h.own = own
	return err
}

// searchCalls finds the rows of the person, by their ids and by the previous id of an alias, and those of others that mention one.
func (p *purge) searchCalls(table string, h *hits, in *rowfile.Input) error {
	own, beside := map[int64]bool{}, map[int64]bool{}
	exact := func(ids map[string]bool) func(int64, []byte) error {
		return func(row int64, text []byte) error {
			if ids[string(text)] {
				own[row] = true
			}
			return nil
		}
	}
	err := errors.Join(in.Find("user_id", p.look.userNeedles, exact(p.look.users)),
		in.Find("anonymous_id", p.look.anonymousNeedles, exact(p.look.anonymous)))
	if err != nil {
		return err
	}
	byColumn := maps.Clone(own)
	if wanted := p.look.messages[table]; len(wanted) > 0 {
		err = in.Each(colMessageID, func(row int64, text []byte, _ int64, _ bool) error {
			if wanted[string(text)] {
				own[row] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	previous := map[int64]bool{}
	err = in.Find(colPayload, p.look.cores, func(row int64, text []byte) error {
		if own[row] || !p.look.mentioned(text) {
			return nil
		}
		beside[row] = true
		previous[row] = slices.ContainsFunc(previousIDs(text), func(id string) bool { return p.look.users[id] || p.look.anonymous[id] })
		return nil
	})
	if err != nil {
		return err
	}
	err = in.Pick("type", slices.Sorted(maps.Keys(beside)), func(row int64, text []byte, _ int64, _ bool) error {
		if previous[row] && string(text) == "alias" {
			own[row] = true
			delete(beside, row)
		}
		return nil
	})
	h.own, h.mentions = slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(beside))
	if err != nil {
		return err
	}
	return p.link(h, slices.Sorted(maps.Keys(byColumn)), in)
}

// link notes the anonymous ids of rows that a user id was found in.
func (p *purge) link(h *hits, rows []int64, in *rowfile.Input) error {
	seen := map[string]bool{}
	err := in.Pick("anonymous_id", rows, func(_ int64, text []byte, _ int64, ok bool) error {
		if ok && !p.look.anonymous[string(text)] {
			seen[string(text)] = true
		}
		return nil
	})
	h.linked = slices.Sorted(maps.Keys(seen))
	return err
}

// leave takes rows out of what was found that came after the purge began.
func (p *purge) leave(h *hits, in *rowfile.Input) error {
	if p.o.Log == "" {
		return nil
	}
	late := map[int64]bool{}
	rows := h.gone(true)
	err := in.Pick(colLog, rows, func(row int64, text []byte, _ int64, _ bool) error {
		late[row] = string(text) == p.o.Log
		return nil
	})
	if err == nil {
		err = in.Pick(colOffset, rows, func(row int64, _ []byte, offset int64, _ bool) error {
			late[row] = late[row] && uint64(offset) >= p.o.Before
			return nil
		})
	}
	passed := func(row int64) bool { return late[row] }
	h.own, h.mentions = slices.DeleteFunc(h.own, passed), slices.DeleteFunc(h.mentions, passed)
	return err
}

// name notes the message ids of the rows that go.
func (p *purge) name(table string, h *hits, in *rowfile.Input) error {
	if table == DeadLetters {
		return nil
	}
	rows := h.gone(p.o.Mentions)
	foreign := make(map[int64]bool, len(rows))
	for _, row := range rows {
		foreign[row] = true
	}
	known := func(column string, ids map[string]bool) error {
		return in.Pick(column, rows, func(row int64, text []byte, _ int64, _ bool) error {
			if ids[string(text)] {
				delete(foreign, row)
			}
			return nil
		})
	}
	if err := errors.Join(known("user_id", p.look.users), known("anonymous_id", p.look.anonymous)); err != nil {
		return err
	}
	return in.Pick(colMessageID, rows, func(row int64, text []byte, _ int64, _ bool) error {
		h.ids = append(h.ids, string(text))
		if foreign[row] {
			h.foreign = append(h.foreign, string(text))
		}
		return nil
	})
}
