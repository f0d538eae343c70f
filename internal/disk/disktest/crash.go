package disktest

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

const sector = 512

// Crash gives the file system as it may be found after a power cut at this moment; the running one is left as it is.
// Everything synced is there. Of what was not synced each sector of each write, and each change of names, is kept with
// the probability keep: 0 forgets all of it, 1 keeps all (as when only the process was killed). rng may be nil for these two.
// The result has no faults and no limit, and all that it holds is durable.
func (f *FS) Crash(rng *rand.Rand, keep float64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	lucky := func() bool { return keep >= 1 || keep > 0 && rng.Float64() < keep }

	names := map[string]*inode{}
	for name, in := range f.kept {
		names[name] = in
	}
	for _, c := range f.changes {
		if !lucky() {
			continue
		}
		for name, in := range c {
			setName(names, name, in)
		}
	}
	after := &FS{
		names: map[string]*inode{}, kept: map[string]*inode{},
		capacity: math.MaxInt64, kinds: map[Kind]int{},
	}
	order := make([]string, 0, len(names))
	for name := range names {
		order = append(order, name)
	}
	slices.Sort(order) // the same seed gives the same crash
	for _, name := range order {
		if !reachable(names, name) {
			continue
		}
		in := names[name].crash(lucky, keep >= 1)
		in.name = name
		after.names[name], after.kept[name] = in, in
	}
	return after
}

// reachable reports whether all folders above a name are there.
func reachable(names map[string]*inode, name string) bool {
	for name != "/" {
		name = filepath.Dir(name)
		if in := names[name]; in == nil || !in.dir {
			return false
		}
	}
	return true
}

// crash gives the file as it may be found after a power cut.
func (in *inode) crash(lucky func() bool, all bool) *inode {
	if all {
		return &inode{dir: in.dir, data: slices.Clone(in.data), kept: slices.Clone(in.data)}
	}
	data := slices.Clone(in.kept)
	for _, w := range in.pending {
		if w.data == nil {
			if lucky() {
				data = w.apply(data)
			}
			continue
		}
		for at := 0; at < len(w.data); {
			end := min(len(w.data), at+sector-int((w.at+int64(at))%sector))
			if lucky() {
				data = write{at: w.at + int64(at), data: w.data[at:end]}.apply(data)
			}
			at = end
		}
	}
	return &inode{dir: in.dir, data: data, kept: slices.Clone(data)}
}

// Content gives a file's content as a running program sees it; nil where there is no such file.
func (f *FS) Content(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.names[clean(name)]; in != nil {
		return slices.Clone(in.data)
	}
	return nil
}

// SetContent puts a file there, durable, with its folders, past all faults and limits: damage to order.
func (f *FS) SetContent(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = clean(name)
	for dir := filepath.Dir(name); f.names[dir] == nil; dir = filepath.Dir(dir) {
		in := &inode{dir: true, name: dir}
		f.names[dir], f.kept[dir] = in, in
	}
	in := &inode{name: name, data: slices.Clone(data), kept: slices.Clone(data)}
	f.names[name], f.kept[name] = in, in
}

// Names lists all files.
func (f *FS) Names() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, in := range f.names {
		if !in.dir {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
