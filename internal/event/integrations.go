package event

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// ForWarehouse reports whether a call whose integrations object is given is to be loaded into the warehouse of that name. The rules
// are Segment's (https://segment.com/docs/connections/storage/warehouses/), with the names that warehouses are configured by in place
// of ids:
//
//   - without the object, or without All and Warehouses in it, and with All true: yes
//   - All false and no Warehouses: no
//   - Warehouses true or false: that, whatever All says
//   - Warehouses an object: with all true yes; with warehouseIds if the name is one of them; with all false no; otherwise yes, for
//     options given to a destination switch it on
//
// The last of equal names counts, null is as good as absent, and what cannot be read forbids nothing. Safe for concurrent use.
func ForWarehouse(integrations []byte, warehouse string) bool {
	if len(integrations) == 0 {
		return true
	}
	var c cursor
	all, warehouses, ok := c.pair(integrations, "All", "Warehouses")
	switch {
	case !ok:
		return true
	case warehouses == nil:
		return string(all) != "false"
	case string(warehouses) == "false":
		return false
	case warehouses[0] != '{':
		return true
	}
	all, ids, ok := c.pair(warehouses, "all", "warehouseIds")
	switch {
	case !ok || string(all) == "true":
		return true
	case ids != nil:
		named, ok := c.names(ids, warehouse)
		return named || !ok
	default:
		return string(all) != "false"
	}
}

// pair finds two members of an object: each as it came, nil when it is absent or null. false: it is not an object.
func (c *cursor) pair(object []byte, one, two string) (first, second []byte, ok bool) {
	c.reset(object, true)
	c.enter('{')
	for begin := true; c.more(begin, '}'); begin = false {
		quoted, _ := c.name()
		name := c.plain(quoted)
		var to *[]byte
		switch string(name) {
		case one:
			to = &first
		case two:
			to = &second
		}
		if v := c.value(); to != nil {
			if *to = v.of(object); len(*to) == 0 || (*to)[0] == 'n' {
				*to = nil
			}
		}
	}
	return first, second, c.end()
}

// names reports whether a name is one of an array. false: it is not an array of strings.
func (c *cursor) names(array []byte, wanted string) (found, ok bool) {
	ok = true
	c.reset(array, true)
	c.enter('[')
	for first := true; c.more(first, ']'); first = false {
		v := c.value().of(array)
		ok = ok && len(v) > 0 && v[0] == '"'
		found = found || ok && string(c.plain(v)) == wanted
	}
	return found && ok, ok && c.end()
}

// aboutWarehouses gives what an integrations object says about warehouses: its members All and Warehouses, compact, nil where
// they forbid and choose nothing. It is valid until the next call.
func (d *Decoder) aboutWarehouses(integrations []byte) []byte {
	if len(integrations) == 0 || integrations[0] != '{' {
		return nil
	}
	// Nearly every call ends here: an object that is empty or names destinations of other kinds.
	if !bytes.Contains(integrations, []byte(`"All"`)) && !bytes.Contains(integrations, []byte(`"Warehouses"`)) &&
		bytes.IndexByte(integrations, '\\') < 0 {
		return nil
	}
	all, warehouses, ok := d.c.pair(integrations, "All", "Warehouses")
	if !ok || string(all) != "false" && warehouses == nil {
		return nil
	}
	out := append(d.about[:0], '{')
	if string(all) == "false" {
		out = appendMember(out, []byte(`"All"`), all)
	}
	if warehouses != nil {
		compact, err := jsontext.AppendFormat(nil, warehouses, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil
		}
		out = appendMember(out, []byte(`"Warehouses"`), compact)
	}
	d.about = append(out, '}')
	return d.about
}
