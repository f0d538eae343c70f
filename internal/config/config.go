// Package config is Firth's one YAML file: its tree as Go structs, the defaults, and the validation that names the line at fault.
//
// Secrets are written as env:NAME or file:PATH and are resolved while the file is read; they are never printed.
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config is the whole file. The zero value is of no use; start from Default or Load.
type Config struct {
	// Listen is where the tracking API, the SQL API and the pages are served. Off loopback it needs Users.
	Listen string `yaml:"listen"`
	// Public, when set, serves the tracking routes and nothing else.
	Public string `yaml:"public"`
	// Data is the folder of journal, lake, catalog and warehouse.
	Data string `yaml:"data"`

	Sources    map[string]Source    `yaml:"sources"`
	Lake       Lake                 `yaml:"lake"`
	Warehouses map[string]Warehouse `yaml:"warehouses"`
	Databases  map[string]Database  `yaml:"databases"`
	Mirrors    map[string]Mirror    `yaml:"mirrors"`
	Alerts     Alerts               `yaml:"alerts"`
	Users      map[string]User      `yaml:"users"`
	Journal    Journal              `yaml:"journal"`
	Limits     Limits               `yaml:"limits"`
	Query      Query                `yaml:"query"`

	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies Strings `yaml:"proxies"`
	// IP says what is kept of the sender's address: keep, truncate (the last byte of IPv4, the last 80 bits of IPv6) or drop.
	IP string `yaml:"ip"`
	// UnknownKeys says how a call with an unknown write key is answered: strict (401) or silent (200).
	UnknownKeys string `yaml:"unknown_keys"`

	// Path is the file it was read from; Text is its content. Both are empty for a configuration made in memory.
	Path string `yaml:"-"`
	Text []byte `yaml:"-"`
	// Base, where set, stands for the folder of the file: the text came from elsewhere.
	Base string `yaml:"-"`
}

// Source is one sender of events; its name is the schema in every warehouse.
type Source struct {
	// WriteKey is one key or a list of keys; any of them is accepted.
	WriteKey Secrets `yaml:"write_key"`
	// Limit is the rate of events above which the answer is 429, for example 2000/s.
	Limit Rate `yaml:"limit"`
	// Quiet is after how long without an event an alert is raised; zero: as Alerts.Quiet says.
	Quiet Patience `yaml:"quiet"`
}

// Lake says where the event tables live and how they are written.
type Lake struct {
	// URL is a folder as file://PATH, where a relative path is taken from the working directory, or s3://BUCKET/PREFIX. Default <data>/lake.
	URL string `yaml:"url"`
	// Cache is the local copy of what lies at s3://.
	Cache LakeCache `yaml:"cache"`
	// Catalog says where the tables are registered; nothing: in <data>/catalog.db.
	Catalog Catalog `yaml:"catalog"`
	Flush   Flush   `yaml:"flush"`
	Dedup   Dedup   `yaml:"dedup"`
	Merge   Merge   `yaml:"merge"`
	// Keep is how long events are kept, by their day; 0 is for ever.
	Keep Duration `yaml:"keep"`
	// History is how long old states of the tables stay readable by AS OF; 0: the last commits alone.
	History Duration `yaml:"history"`
	// Grace is how long a file that no snapshot names any more stays for those who still read it. It is longer than Query.Deadline.
	Grace Duration `yaml:"grace"`
	// Orphans is how long a file that another engine left behind, of a write that failed, stays.
	Orphans Duration `yaml:"orphans"`
	Readers Readers  `yaml:"readers"`
	// Derived are tables that statements make of the events, by name.
	Derived map[string]Derived `yaml:"derived"`
}

// Merge says how files of the lake become fewer and larger.
type Merge struct {
	Small SmallMerge `yaml:"small"`
	Large LargeMerge `yaml:"large"`
	// Memory bounds one merge.
	Memory Bytes `yaml:"memory"`
	// Off is set by writing false in place of a mapping: then only firth lake merge merges.
	Off bool `yaml:"-"`
}

// SmallMerge is the frequent merger, which takes the newest files first.
type SmallMerge struct {
	Every Duration `yaml:"every"`
	// Bytes is the size from which a file is left alone.
	Bytes Bytes `yaml:"bytes"`
	// Files is how many one merge takes at most.
	Files int `yaml:"files"`
}

// LargeMerge is the seldom merger, which takes the oldest files first.
type LargeMerge struct {
	Every Duration `yaml:"every"`
	// Bytes is the size that files are brought up to.
	Bytes Bytes `yaml:"bytes"`
}

// Flush bounds the time and the size of what waits in the journal before it becomes a commit of the lake.
type Flush struct {
	Every Duration `yaml:"every"`
	Bytes Bytes    `yaml:"bytes"`
}

// Dedup bounds the window of message ids within which a second copy is recognised.
type Dedup struct {
	Window Duration `yaml:"window"`
	IDs    int      `yaml:"ids"`
}

func (m *Merge) off(off bool) { m.Off = off }

// User may read. Without users the server is open, and then only on loopback.
type User struct {
	Password Secret  `yaml:"password"`
	Role     string  `yaml:"role"`
	Schemas  Strings `yaml:"schemas"`
	// Token is what other engines show in place of name and password, at /iceberg.
	Token Secret `yaml:"token"`
}

// Journal bounds the durable log.
type Journal struct {
	MaxBytes Bytes `yaml:"max_bytes"`
}

// Limits are the sizes above which a call is refused.
type Limits struct {
	Event Bytes `yaml:"event"`
	Body  Bytes `yaml:"body"`
	Batch int   `yaml:"batch"`
}

// Query bounds one SQL statement.
type Query struct {
	Deadline    Duration `yaml:"deadline"`
	Rows        int      `yaml:"rows"`
	Memory      Bytes    `yaml:"memory"`
	Concurrency int      `yaml:"concurrency"`
}

// Default is the configuration that an empty file gives.
func Default() *Config {
	return &Config{
		Listen:      "127.0.0.1:8080",
		Data:        "./firth-data",
		Sources:     map[string]Source{},
		Lake:        defaultLake(),
		Warehouses:  map[string]Warehouse{Local: {Type: DuckDB}},
		Databases:   map[string]Database{},
		Mirrors:     map[string]Mirror{},
		Alerts:      Alerts{Lag: Patience(15 * time.Minute), Quiet: Patience(24 * time.Hour)},
		Users:       map[string]User{},
		Journal:     Journal{MaxBytes: 8 << 30},
		Limits:      Limits{Event: 32 << 10, Body: 512_000, Batch: 2500},
		Query:       Query{Deadline: Duration(time.Minute), Rows: 1_000_000, Memory: 1 << 30, Concurrency: 8},
		IP:          "keep",
		UnknownKeys: "strict",
	}
}

func defaultLake() Lake {
	return Lake{
		Cache: LakeCache{Bytes: 10 << 30},
		Flush: Flush{Every: Duration(time.Second), Bytes: 32 << 20},
		Dedup: Dedup{Window: Duration(24 * time.Hour), IDs: 20_000_000},
		Merge: Merge{
			Small:  SmallMerge{Every: Duration(30 * time.Second), Bytes: 10 << 20, Files: 100},
			Large:  LargeMerge{Every: Duration(10 * time.Minute), Bytes: 100 << 20},
			Memory: 128 << 20,
		},
		Grace:   Duration(15 * time.Minute),
		History: defaultHistory,
		Orphans: Duration(24 * time.Hour),
	}
}

// Load reads and validates the file. Every fault found is in the error, each with its line and what to do.
func Load(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse is Load for a text that is already in memory; path only names it in errors.
func Parse(path string, text []byte) (*Config, error) {
	c := Default()
	c.Path, c.Text = path, text
	d := &decoder{file: path}
	d.decode(text, c)
	if len(d.faults) == 0 {
		d.validate(c)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// LakeDir is the folder that Lake.URL names, absolute; of a lake at an object store it is the one of the cache.
func (c *Config) LakeDir() (string, error) {
	dir := filepath.Join(c.Data, "lake")
	switch {
	case c.LakeStore() != "":
		dir = c.cacheDir()
	case c.Lake.URL != "":
		dir = c.Lake.URL[len("file://"):]
	}
	return filepath.Abs(dir)
}

// DataDir is the data folder, absolute.
func (c *Config) DataDir() (string, error) { return filepath.Abs(c.Data) }
