package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// LakeCache is the copy on local disk of a lake that lies at an object store.
type LakeCache struct {
	// Bytes bounds it.
	Bytes Bytes `yaml:"bytes"`
	// Dir is its folder; a relative path is taken from the working directory. Default <data>/cache.
	Dir string `yaml:"dir"`
}

// s3Scheme is what lake.url begins with where the lake lies at an object store.
const s3Scheme = "s3://"

// leastCache is the smallest cache: a few files of the size that mergers make have to fit.
const leastCache = 64 << 20

// LakeStore is the address of the object store that has the lake; empty: the lake is on local disk.
func (c *Config) LakeStore() string {
	if strings.HasPrefix(c.Lake.URL, s3Scheme) {
		return c.Lake.URL
	}
	return ""
}

// cacheDir is the folder that stands for the lake at a store.
func (c *Config) cacheDir() string {
	dir := c.Lake.Cache.Dir
	if dir == "" {
		dir = filepath.Join(c.Data, "cache")
	}
	return filepath.Join(dir, "lake")
}

func (d *decoder) lakeStore(c *Config) {
	const key = "lake.url"
	at := d.lines[key]
	switch {
	case strings.HasPrefix(c.Lake.URL, s3Scheme):
		d.storeURL(key, c.Lake.URL)
	case c.Lake.URL != "" && !strings.HasPrefix(c.Lake.URL, "file://"):
		d.fault(at, key, "write file://PATH, or s3://BUCKET/PREFIX")
	case d.given("lake.cache"):
		d.fault(d.lines["lake.cache"], "lake.cache", "is for a lake at an object store (lake.url: s3://BUCKET/PREFIX): this one is on a local disk")
	}
	if c.Lake.Cache.Bytes < leastCache {
		d.fault(d.lines["lake.cache.bytes"], "lake.cache.bytes", "must be at least 64MiB")
	}
}

// storeURL looks at the address of a store, and never repeats what may be a key.
func (d *decoder) storeURL(key, text string) {
	at := d.lines[key]
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		d.fault(at, key, "is no address of a bucket: write s3://BUCKET/PREFIX?region=eu-central-1")
		return
	}
	if u.User != nil {
		d.fault(at, key, "has a user or a key in it: they come from the environment (AWS_ACCESS_KEY_ID), ~/.aws/credentials or the machine's role")
	}
	query := u.Query()
	for _, name := range keys(query) {
		value := query.Get(name)
		switch name {
		case "region", "timeout":
		case "endpoint":
			if e, err := url.Parse(value); err != nil || e.Host == "" || e.User != nil || e.Scheme != "http" && e.Scheme != "https" {
				d.fault(at, key, "endpoint= is written http://HOST:PORT or https://HOST")
			}
		case "path_style":
			if value != "true" && value != "false" {
				d.fault(at, key, "path_style= is true or false")
			}
		default:
			d.fault(at, key, "%q is no parameter: there are endpoint, region, path_style and timeout", name)
		}
	}
}
