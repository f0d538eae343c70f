package config

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// laterKeys are keys of the published configuration that this build does not carry out. Taking them in silence would be a lie.
var laterKeys = map[string]string{ //nolint:gochecknoglobals // a constant table
	"pgwire": "this build has no Postgres wire yet; remove the key and use POST /api/sql",
}

// reservedSources are names that mean something else in SQL.
var reservedSources = []string{"lake", "firth", "_firth", "_tables", "derived", "warehouse", "main", "temp", "system", "memory", "pg_catalog", "information_schema"} //nolint:gochecknoglobals // a constant list

var sourceName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`) //nolint:gochecknoglobals // a constant pattern

func (d *decoder) validate(c *Config) {
	d.address("listen", c.Listen)
	if c.Public != "" {
		d.address("public", c.Public)
	}
	if c.Data == "" {
		d.fault(d.lines["data"], "data", "must name a folder")
	}
	if !loopback(c.Listen) && len(c.Users) == 0 {
		d.fault(d.lines["listen"], "listen", "%s is reachable from other machines, and no users are configured: add users, listen on 127.0.0.1, or use public: for the tracking routes alone", c.Listen)
	}
	d.sources(c)
	d.users(c)
	d.tokens(c)
	d.lake(c)
	d.readers(c)
	d.derived(c)
	d.warehouses(c)
	d.databases(c)
	d.mirrors(c)
	d.alerts(c)
	for _, p := range c.Proxies {
		if _, err := prefix(p); err != nil {
			d.fault(d.lines["proxies"], "proxies", "%q is no address or network: write 10.0.0.0/8 or 192.0.2.7", p)
		}
	}
	d.oneOf("ip", c.IP, "keep", "truncate", "drop")
	d.oneOf("unknown_keys", c.UnknownKeys, "strict", "silent")
	d.bounds(c)
}

func (d *decoder) sources(c *Config) {
	owner := map[Secret]string{}
	for _, name := range keys(c.Sources) {
		key := "sources." + name
		at := d.lines[key]
		if !sourceName.MatchString(name) {
			d.fault(at, key, "a source's name is a schema in SQL: lower-case letters, digits and _, at most 63, no digit first")
		}
		if slices.Contains(reservedSources, name) || strings.HasPrefix(name, "firth_") {
			d.fault(at, key, "the name is taken by Firth; choose another")
		}
		d.patience(key+".quiet", c.Sources[name].Quiet)
		if len(c.Sources[name].WriteKey) == 0 {
			d.fault(at, key, "needs write_key: a key or a list of keys")
		}
		for _, k := range c.Sources[name].WriteKey {
			if k == "" || strings.ContainsAny(string(k), ": \t\r\n") {
				d.fault(at, key+".write_key", "a write key is not empty and has no colon or white space")
			}
			if other, ok := owner[k]; ok {
				d.fault(at, key+".write_key", "the same key belongs to %s already", other)
			}
			owner[k] = name
		}
	}
}

func (d *decoder) users(c *Config) {
	for _, name := range keys(c.Users) {
		key := "users." + name
		u := c.Users[name]
		if u.Password == "" {
			d.fault(d.lines[key], key, "needs a password, best as env:NAME or file:PATH")
		}
		if strings.Contains(name, ":") {
			d.fault(d.lines[key], key, "a user's name has no colon")
		}
		if u.Role == "" {
			u.Role = "reader"
			c.Users[name] = u
		}
		d.oneOf(key+".role", u.Role, "reader", "admin")
	}
}

func (d *decoder) lake(c *Config) {
	d.lakeStore(c)
	if c.Lake.Flush.Every <= 0 {
		d.fault(d.lines["lake.flush.every"], "lake.flush.every", "must be more than 0")
	}
	if c.Lake.Dedup.IDs < 1 {
		d.fault(d.lines["lake.dedup.ids"], "lake.dedup.ids", "must be at least 1")
	}
	if c.Lake.Grace <= c.Query.Deadline {
		at := d.lines["lake.grace"]
		if at == 0 {
			at = d.lines["query.deadline"]
		}
		d.fault(at, "lake.grace", "must be longer than query.deadline (%s), or files go away under a query that still reads them", time.Duration(c.Query.Deadline))
	}
	if c.Lake.Keep > 0 && c.Lake.Keep < leastKeep {
		d.fault(d.lines["lake.keep"], "lake.keep", "must be at least 1d: events go by whole days; leave it out to keep them for ever")
	}
	d.history(&c.Lake)
	d.merge(&c.Lake.Merge)
	d.catalog(&c.Lake.Catalog)
}

// leastKeep is the shortest time for which events are kept: retention takes whole days.
const leastKeep = Duration(24 * time.Hour)

func (d *decoder) merge(m *Merge) {
	const key = "lake.merge."
	least := func(name string, ok bool, want string) {
		if !ok {
			d.fault(d.lines[key+name], key+name, "must be at least %s", want)
		}
	}
	least("small.every", m.Small.Every >= Duration(100*time.Millisecond), "100ms")
	least("small.bytes", m.Small.Bytes >= 64<<10, "64KiB")
	least("small.files", m.Small.Files >= 2, "2")
	least("large.every", m.Large.Every >= Duration(100*time.Millisecond), "100ms")
	least("memory", m.Memory >= 16<<20, "16MiB")
	if m.Large.Bytes < m.Small.Bytes {
		at := d.lines[key+"large.bytes"]
		if at == 0 {
			at = d.lines[key+"small.bytes"]
		}
		d.fault(at, key+"large.bytes", "must be at least small.bytes, so that one merger takes over where the other ends")
	}
}

// maxBody is the largest body that the journal takes.
const maxBody = 32 << 20

func (d *decoder) bounds(c *Config) {
	least := func(key string, have, want int64) {
		if have < want {
			d.fault(d.lines[key], key, "must be at least %s", strconv.FormatInt(want, 10))
		}
	}
	least("limits.event", int64(c.Limits.Event), 1024)
	least("limits.body", int64(c.Limits.Body), int64(c.Limits.Event))
	if c.Limits.Body > maxBody {
		d.fault(d.lines["limits.body"], "limits.body", "must be at most 32MiB")
	}
	least("limits.batch", int64(c.Limits.Batch), 1)
	least("journal.max_bytes", int64(c.Journal.MaxBytes), 16<<20)
	least("lake.flush.bytes", int64(c.Lake.Flush.Bytes), 64<<10)
	least("query.memory", int64(c.Query.Memory), 128<<20)
	least("query.rows", int64(c.Query.Rows), 1)
	least("query.concurrency", int64(c.Query.Concurrency), 1)
}

func (d *decoder) oneOf(key, have string, want ...string) {
	if !slices.Contains(want, have) {
		d.fault(d.lines[key], key, "%q is not one of %s", have, strings.Join(want, ", "))
	}
}

func (d *decoder) address(key, addr string) {
	_, port, err := net.SplitHostPort(addr)
	n, portErr := strconv.Atoi(port)
	if err != nil || portErr != nil || n < 0 || n > 65535 {
		d.fault(d.lines[key], key, "%q is no address: write HOST:PORT, for example 127.0.0.1:8080", addr)
	}
}

// loopback says whether an address is reached from this machine alone. A name other than localhost counts as reachable.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // reported by address already
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func prefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

// ProxyNets is Proxies as networks.
func (c *Config) ProxyNets() []netip.Prefix {
	var nets []netip.Prefix
	for _, p := range c.Proxies {
		if n, err := prefix(p); err == nil {
			nets = append(nets, n)
		}
	}
	return nets
}

// keys returns a map's keys in order, so that faults come in the same order every time.
func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
