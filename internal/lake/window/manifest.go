package window

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"firth/internal/disk"
)

// manifestName is the file that says which generations make up the window. It is replaced as a whole.
const manifestName = "WINDOW"

// manifest is the content of that file, as JSON after a line with the CRC32C of the JSON in hexadecimal digits.
type manifest struct {
	Version     int               `json:"version"`
	Start       int64             `json:"start"`
	Covered     map[string]uint64 `json:"covered"`
	Written     int               `json:"written"`
	Generations []manifestEntry   `json:"generations"`
}

type manifestEntry struct {
	File        string `json:"file"`
	Log         string `json:"log"`
	MinOffset   uint64 `json:"min_offset"`
	EndOffset   uint64 `json:"end_offset"`
	MinReceived int64  `json:"min_received"`
	MaxReceived int64  `json:"max_received"`
	IDs         uint64 `json:"ids"`
}

func newer(v int) error {
	return fmt.Errorf("%w: version %d, this one reads %d; run that one, or remove the folder: it is made again from the lake", ErrNewer, v, version)
}

func writeManifest(fsys disk.FS, dir string, m *manifest) error {
	body, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("encode dedup window: %w", err)
	}
	text := fmt.Appendf(nil, "%08x\n%s\n", crc32.Checksum(body, castagnoli), body)
	return disk.WriteFile(fsys, filepath.Join(dir, manifestName), text, 0o644)
}

func readManifest(fsys disk.FS, dir string) (*manifest, error) {
	text, err := disk.ReadFile(fsys, filepath.Join(dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("read dedup window: %w", err)
	}
	return parseManifest(text)
}

// parseManifest never panics on foreign bytes.
func parseManifest(text []byte) (*manifest, error) {
	var sum uint32
	const line = 9
	if len(text) < line+1 || text[line-1] != '\n' || text[len(text)-1] != '\n' {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, manifestName)
	}
	body := text[line : len(text)-1]
	if _, err := fmt.Sscanf(string(text[:line-1]), "%08x", &sum); err != nil || crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: %s: checksum", ErrCorrupt, manifestName)
	}
	m := &manifest{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, manifestName, err)
	}
	if m.Version > version {
		return nil, newer(m.Version)
	}
	for _, g := range m.Generations {
		if g.File != filepath.Base(g.File) {
			return nil, fmt.Errorf("%w: %s: file %q", ErrCorrupt, manifestName, g.File)
		}
	}
	return m, nil
}
