package config

import (
	"net/url"
	"slices"
	"strings"
)

// The kinds of catalogs.
const (
	CatalogSQLite   = "sqlite"
	CatalogPostgres = "postgres"
	CatalogREST     = "rest"
)

// Catalog says where the lake's tables are registered: in <data>/catalog.db, in a PostgreSQL database, or at an Iceberg REST catalog.
type Catalog struct {
	Type string `yaml:"type"`
	// URL is that of the database, which may hold a password, or of the REST catalog, without /v1.
	URL Secret `yaml:"url"`
	// Warehouse is the one to ask a REST catalog for, where it has several.
	Warehouse string `yaml:"warehouse"`
	// Token, or Credential as ID:SECRET, is what a REST catalog is shown.
	Token      Secret `yaml:"token"`
	Credential Secret `yaml:"credential"`
}

func (d *decoder) catalog(c *Catalog) {
	const key = "lake.catalog"
	if c.Type == "" {
		c.Type = CatalogSQLite
		if d.given(key) {
			d.fault(d.lines[key], key, "needs a type: sqlite, postgres or rest")
			return
		}
	}
	d.oneOf(key+".type", c.Type, CatalogSQLite, CatalogPostgres, CatalogREST)
	schemes := map[string][]string{CatalogPostgres: {"postgres", "postgresql"}, CatalogREST: {"http", "https"}}[c.Type]
	u, err := url.Parse(string(c.URL))
	switch {
	case c.Type == CatalogSQLite && c.URL != "":
		d.fault(d.lines[key+".url"], key+".url", "the catalog of type sqlite is <data>/catalog.db: leave the url out")
	case schemes != nil && c.URL == "":
		d.fault(d.lines[key], key, "needs url: %s, best as env:NAME or file:PATH",
			map[string]string{CatalogPostgres: "postgres://USER:PASSWORD@HOST:5432/DATABASE", CatalogREST: "https://HOST/PATH, without /v1"}[c.Type])
	case schemes != nil && (err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == ""):
		d.fault(d.lines[key+".url"], key+".url", "is no address of a catalog of type %s", c.Type)
	case c.Type == CatalogREST && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/v1"):
		d.fault(d.lines[key+".url"], key+".url", "write it without /v1")
	}
	if c.Type == CatalogREST {
		if c.Token != "" && c.Credential != "" {
			d.fault(d.lines[key+".credential"], key+".credential", "stands beside token: keep one of the two")
		}
		return
	}
	for _, k := range []string{"warehouse", "token", "credential"} {
		if d.given(key + "." + k) {
			d.fault(d.lines[key+"."+k], key+"."+k, "is for type rest alone")
		}
	}
}
