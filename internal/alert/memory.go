package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"firth/internal/disk"
)

// memory is the state file.
type memory struct {
	Version int      `json:"version"`
	Alerts  []*alert `json:"alerts"`
}

const memoryVersion = 1

// restore reads the state file. What it does not tell is told anew, which is better than not at all.
func (a *Alerter) restore() {
	if a.o.StateFile == "" {
		return
	}
	m, err := readMemory(a.o.FS, a.o.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		a.o.Log.Warn("the alerts that were told are not known: they may be told again", "error", err)
		return
	}
	for _, al := range m.Alerts {
		a.alerts[key{al.Event, al.Name}] = al
	}
}

func readMemory(fsys disk.FS, path string) (*memory, error) {
	text, err := disk.ReadFile(fsys, path)
	if err != nil {
		return nil, err
	}
	var m memory
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if m.Version != memoryVersion {
		return nil, fmt.Errorf("read %s: version %d, this version of Firth reads %d", path, m.Version, memoryVersion)
	}
	for _, al := range m.Alerts {
		if al == nil {
			return nil, fmt.Errorf("read %s: an alert is null", path)
		}
	}
	return &m, nil
}

// save writes the state file where something changed since.
func (a *Alerter) save() error {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	if !a.dirty || a.o.StateFile == "" {
		a.dirty = false
		a.mu.Unlock()
		return nil
	}
	m := memory{Version: memoryVersion}
	for _, al := range a.alerts {
		m.Alerts = append(m.Alerts, al)
	}
	slices.SortFunc(m.Alerts, func(x, y *alert) int { return strings.Compare(x.Event+"\x00"+x.Name, y.Event+"\x00"+y.Name) })
	text, err := json.MarshalIndent(m, "", " ")
	a.dirty = false
	a.mu.Unlock()
	if err == nil {
		err = disk.WriteFile(a.o.FS, a.o.StateFile, append(text, '\n'), 0o600)
	}
	if err != nil {
		a.mu.Lock()
		a.dirty = true
		a.mu.Unlock()
		return fmt.Errorf("remember the alerts: %w", err)
	}
	return nil
}
