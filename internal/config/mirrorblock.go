package config

import (
	"net/url"
	"slices"
	"strings"
)

// blockKeys are the keys that say what is read, by kind; those of Redis differ between what lists and what gets.
func blockKeys(kind, role string) []string {
	switch kind {
	case MongoDB:
		return []string{"collection", "filter", "projection", "sort", "pipeline"}
	case Postgres, MySQL, SQLite:
		return []string{"table", "where", "query"}
	case Redis:
		if role == "get" {
			return keyTypes
		}
		return []string{"keys", "set", "zset", "hash"}
	case Exec:
		return []string{"exec"}
	}
	return []string{"url", "next", "headers"}
}

// allBlockKeys are the keys of all kinds.
func allBlockKeys() []string {
	var out []string
	for _, kind := range []string{MongoDB, Postgres, Redis, Exec, HTTP} {
		out = append(out, blockKeys(kind, "list")...)
	}
	return append(out, "string", "json", "list", "stream")
}

// block checks one block, and sets its kind.
func (d *decoder) block(c *Config, mirror, role string, b *Block) bool {
	key := mirror + "." + role
	if !d.kind(c, key, b) {
		return false
	}
	before := len(d.faults)
	d.foreign(key, role, b)
	switch b.Kind {
	case MongoDB:
		d.mongo(key, b)
	case Redis:
		d.redis(key, role, b)
	case Exec:
		if slices.Contains(b.Exec, "") {
			d.fault(d.lineOf(key+".exec"), key+".exec", "has an empty part: write [PROGRAM, ARGUMENT, ...]")
		}
	case HTTP:
		d.web(key, b)
	default:
		d.relational(key, role, b)
	}
	d.roleKeys(key, role, b)
	return len(d.faults) == before
}

// kind finds what kind of thing a block reads.
func (d *decoder) kind(c *Config, key string, b *Block) bool {
	direct := ""
	switch {
	case len(b.Exec) > 0 && b.URL != "":
		d.fault(d.lines[key+".url"], key+".url", "stands beside exec: keep one of the two")
		return false
	case len(b.Exec) > 0:
		direct = Exec
	case b.URL != "":
		direct = HTTP
	}
	switch {
	case direct != "" && b.Database != "":
		d.fault(d.lines[key+".database"], key+".database", "stands beside %s, which needs none: keep one of the two", map[string]string{Exec: "exec", HTTP: "url"}[direct])
		return false
	case direct != "":
		b.Kind = direct
		return true
	case b.Database == "":
		d.fault(d.lines[key], key, "needs database: the name of one under databases; or exec: a program; or url: a web service")
		return false
	}
	db, ok := c.Databases[b.Database]
	if !ok {
		d.fault(d.lineOf(key+".database"), key+".database", "there is no database %q; %s", b.Database, suggest(b.Database, "the databases are", keys(c.Databases)))
		return false
	}
	b.Kind = db.Type
	return slices.Contains(databaseTypes, db.Type)
}

// foreign refuses keys of other kinds, and of other blocks.
func (d *decoder) foreign(key, role string, b *Block) {
	own := blockKeys(b.Kind, role)
	for _, k := range allBlockKeys() {
		if !d.given(key+"."+k) || slices.Contains(own, k) {
			continue
		}
		if b.Kind == Redis && slices.Contains(append(slices.Clone(keyTypes), "keys"), k) {
			d.fault(d.lines[key+"."+k], key+"."+k, "is not for a %s of redis, which takes one of %s", role, strings.Join(own, ", "))
			continue
		}
		d.fault(d.lines[key+"."+k], key+"."+k, "is not for %s, which takes %s", b.Kind, strings.Join(own, ", "))
	}
	places := map[string][]string{
		"id": {"list"}, "key": {"get"}, "missing": {"get"}, "columns": {"from", "get"}, "exclude": {"from", "get"}, "every": {"list", "get"}, "cron": {"list", "get"},
	}
	for _, k := range keys(places) {
		where := places[k]
		if !d.given(key+"."+k) || slices.Contains(where, role) {
			continue
		}
		why := "belongs to " + strings.Join(where, " and ")
		switch {
		case k == "every" || k == "cron":
			why = "stands at the mirror itself, beside from"
		case k == "key" && role == "from":
			why = "stands at the mirror itself, beside from"
		case k == "columns" || k == "exclude":
			why = "belongs to get: a list reads ids alone"
		}
		d.fault(d.lines[key+"."+k], key+"."+k, "%s", why)
	}
}

func (d *decoder) mongo(key string, b *Block) {
	if b.Collection == "" {
		d.fault(d.lines[key], key, "needs collection: the name of one in MongoDB")
	}
	if b.Pipeline != nil {
		for _, k := range []string{"filter", "projection", "sort"} {
			if d.given(key + "." + k) {
				d.fault(d.lines[key+"."+k], key+"."+k, "stands beside pipeline: write it as a stage of that")
			}
		}
		if b.Pipeline[0] != '[' {
			d.fault(d.lines[key+".pipeline"], key+".pipeline", "is a list of stages: [{$match: {...}}, ...]")
		}
	}
	documents := map[string]Document{"filter": b.Filter, "projection": b.Projection, "sort": b.Sort}
	for _, k := range keys(documents) {
		doc := documents[k]
		if doc != nil && doc[0] != '{' {
			d.fault(d.lines[key+"."+k], key+"."+k, "is a mapping of fields, for example {deleted: false}")
		}
	}
}

func (d *decoder) relational(key, role string, b *Block) {
	switch {
	case b.Table == "" && b.Query == "":
		d.fault(d.lines[key], key, "needs table: the name of one, with its schema where it has one; or query: a SELECT")
	case b.Table != "" && b.Query != "":
		d.fault(d.lines[key+".query"], key+".query", "stands beside table: keep one of the two")
	case b.Query != "" && b.Where != "":
		d.fault(d.lines[key+".where"], key+".where", "is for table: write the condition into the query")
	}
	if b.Query == "" {
		return
	}
	if has := strings.Contains(b.Query, ":ids"); role == "get" && !has {
		d.fault(d.lines[key+".query"], key+".query", "needs :ids where the batch of ids goes, for example WHERE id IN (:ids)")
	} else if role != "get" && has {
		d.fault(d.lines[key+".query"], key+".query", ":ids is for get: a %s reads all of it", role)
	}
}

func (d *decoder) redis(key, role string, b *Block) {
	all := map[string]string{"keys": b.Keys, "set": b.Set, "zset": b.ZSet, "hash": b.Hash, "string": b.String, "json": b.JSON, "list": b.List, "stream": b.Stream}
	var have []string
	for _, k := range append([]string{"keys"}, keyTypes...) {
		if all[k] != "" {
			have = append(have, k)
		}
	}
	keyed := 0
	for _, col := range b.Columns {
		if col.Of == "" {
			continue
		}
		keyed++
		d.template(col.line, key+".columns."+col.Name, col.Template)
	}
	own := blockKeys(Redis, role)
	switch {
	case keyed > 0 && role != "get":
		d.fault(d.lines[key+".columns"], key+".columns", "keys of Redis as columns belong to get")
	case keyed > 0 && len(have) > 0:
		d.fault(d.lines[key+"."+have[0]], key+"."+have[0], "stands beside keys in columns: keep one of the two")
	case keyed > 0 && keyed < len(b.Columns):
		d.fault(d.lines[key+".columns"], key+".columns", "each column needs its key, for example calls: { string: \"calls:{id}\" }")
	case keyed > 0:
		return
	case len(have) > 1:
		d.fault(d.lines[key+"."+have[1]], key+"."+have[1], "stands beside %s: keep one; several keys an id are written as columns: { NAME: { string: \"calls:{id}\" }, ... }", have[0])
	case len(have) == 0 && role == "get":
		d.fault(d.lines[key], key, "needs a key template, one of %s, for example hash: \"project:{id}:usage\"; or columns: { NAME: { string: \"calls:{id}\" }, ... }", strings.Join(own, ", "))
	case len(have) == 0:
		d.fault(d.lines[key], key, "needs one of %s, for example keys: \"project:{id}:usage\"", strings.Join(own, ", "))
	}
	if len(have) == 1 && slices.Contains(own, have[0]) && (role == "get" || have[0] == "keys") {
		d.template(d.lines[key+"."+have[0]], key+"."+have[0], all[have[0]])
	} else if len(have) == 1 && strings.Contains(all[have[0]], "{id}") {
		d.fault(d.lines[key+"."+have[0]], key+"."+have[0], "names one key, whose members or fields are the ids: {id} is for keys, which finds many")
	}
}

// template checks that a key template says once where the id goes.
func (d *decoder) template(line int, key, text string) {
	switch n := strings.Count(text, "{id}"); {
	case n == 0 && strings.Contains(text, "{"):
		d.fault(line, key, "%q lacks {id}, which says where the id goes; no other name is known", text)
	case n == 0:
		d.fault(line, key, "%q lacks {id}, which says where the id goes, for example %q", text, "project:{id}:usage")
	case n > 1 && strings.HasSuffix(key, ".keys"):
		d.fault(line, key, "%q has {id} twice: ids are read out of one place", text)
	}
}

func (d *decoder) web(key string, b *Block) {
	u, err := url.Parse(string(b.URL))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		d.fault(d.lineOf(key+".url"), key+".url", "is no address: write https://HOST/PATH, best as env:NAME or file:PATH where it holds a token")
	}
	for _, name := range keys(b.Headers) {
		if name == "" || strings.ContainsAny(name, " \t:") || strings.ContainsAny(string(b.Headers[name]), "\r\n") {
			d.fault(d.lineOf(key+".headers."+name), key+".headers", "write them as NAME: VALUE, without line breaks")
		}
	}
}

// roleKeys checks the keys that a block has for being a list or a get, and fills in their defaults.
func (d *decoder) roleKeys(key, role string, b *Block) {
	if role == "from" {
		return
	}
	d.when(key, b.Every, b.Cron, "run")
	names := b.Kind != Redis
	if role == "list" {
		switch {
		case !names && b.ID != "":
			d.fault(d.lines[key+".id"], key+".id", "is not for redis: the ids are what stands for {id}, the members or the fields")
		case names && b.ID == "" && b.Kind != Exec && b.Kind != HTTP:
			d.fault(d.lines[key], key, "needs id: the %s that is the id", map[bool]string{true: "field", false: "column"}[Documents(b.Kind)])
		}
		return
	}
	if !names && b.Key != "" {
		d.fault(d.lines[key+".key"], key+".key", "is not for redis: the id is in the key template")
	}
	if names && b.Key == "" {
		b.Key = "id"
		if b.Kind == MongoDB {
			b.Key = "_id"
		}
	}
}
