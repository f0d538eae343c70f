package config

import (
	"strings"
	"time"
)

// Readers are the keys that other engines are given by the catalog at /iceberg, to read the files of a lake on an object store. They should be
// able to read that, and nothing else: whoever attaches gets them.
type Readers struct {
	AccessKey    Secret `yaml:"access_key"`
	SecretKey    Secret `yaml:"secret_key"`
	SessionToken Secret `yaml:"session_token"`
}

// leastToken is the length of the shortest token: nobody guesses 16 characters drawn at random.
const leastToken = 16

func (d *decoder) tokens(c *Config) {
	owner := map[Secret]string{}
	for _, name := range keys(c.Users) {
		token := c.Users[name].Token
		if token == "" {
			continue
		}
		key := "users." + name + ".token"
		if len(token) < leastToken || strings.ContainsAny(string(token), " \t\r\n") {
			d.fault(d.lines[key], key, "a token has at least %d characters and no white space; openssl rand -hex 32 makes one", leastToken)
		}
		if other, ok := owner[token]; ok {
			d.fault(d.lines[key], key, "the same token belongs to %s already", other)
		}
		owner[token] = name
	}
}

func (d *decoder) readers(c *Config) {
	r := c.Lake.Readers
	if (r.AccessKey == "") != (r.SecretKey == "") || r.SessionToken != "" && r.AccessKey == "" {
		d.fault(d.lines["lake.readers"], "lake.readers", "needs both access_key and secret_key")
	}
	if r.AccessKey != "" && !strings.HasPrefix(c.Lake.URL, "s3://") {
		d.fault(d.lines["lake.readers"], "lake.readers", "is for a lake on an object store: the files of this one are on a local disk, which has no keys")
	}
	at := d.lines["lake.orphans"]
	if at == 0 {
		c.Lake.Orphans = max(c.Lake.Orphans, c.Lake.Grace)
	}
	if c.Lake.Orphans < c.Lake.Grace {
		d.fault(at, "lake.orphans", "must be at least lake.grace (%s)", time.Duration(c.Lake.Grace))
	}
}
