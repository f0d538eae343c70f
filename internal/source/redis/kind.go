package redis

// kind is a type of key, with the commands that read it.
type kind struct {
	name     string   // as TYPE says it
	size     string   // the command that counts the elements; empty: there is none
	scan     string   // the command that hands out the elements bit by bit
	commands []string // all that are sent
	rows     bool     // each element is a row; else the key is one
}

// The kinds. None of them changes.
//
//nolint:gochecknoglobals // constants
var (
	kindString   = kind{name: "string", commands: []string{"GET"}}
	kindJSON     = kind{name: "json", commands: []string{"GET"}}
	kindHash     = kind{name: "hash", size: "HLEN", scan: "HSCAN", commands: []string{"HLEN", "HGETALL", "HMGET", "HSCAN"}}
	kindHashRows = kind{name: "hash", size: "HLEN", scan: "HSCAN", commands: []string{"HLEN", "HGETALL", "HSCAN"}, rows: true}
	kindSet      = kind{name: "set", size: "SCARD", scan: "SSCAN", commands: []string{"SCARD", "SMEMBERS", "SSCAN"}, rows: true}
	kindZSet     = kind{name: "zset", size: "ZCARD", scan: "ZSCAN", commands: []string{"ZCARD", "ZRANGE", "ZSCAN"}, rows: true}
	kindList     = kind{name: "list", size: "LLEN", commands: []string{"LLEN", "LRANGE"}, rows: true}
	kindStream   = kind{name: "stream", size: "XLEN", commands: []string{"XLEN", "XRANGE"}, rows: true}
)

// kinds are those that TYPE tells apart.
func kinds() []*kind {
	return []*kind{&kindString, &kindHash, &kindSet, &kindZSet, &kindList, &kindStream}
}

// Bounds of one request.
const (
	pipelined  = 500     // commands
	pageSize   = 10_000  // elements of a key: one that has more is read in pages
	maxBatch   = 100_000 // elements of all keys of a pipeline
	scanCount  = 1000    // of SCAN and its like
	maxPerPage = 5000    // rows that Next hands out at once, about
)

// ask adds the command that reads all of a key that is not large.
func (k *kind) ask(p *pipe, key *string, fields []string) {
	switch k.name {
	case "string", "json":
		p.add(key, "GET", key)
	case "hash":
		if fields == nil {
			p.add(key, "HGETALL", key)
			return
		}
		args := make([]any, 0, 2+len(fields))
		args = append(args, "HMGET", key)
		for i := range fields {
			args = append(args, &fields[i])
		}
		p.add(key, args...)
	case "set":
		p.add(key, "SMEMBERS", key)
	case "zset":
		p.add(key, "ZRANGE", key, "0", "-1", "WITHSCORES")
	case "list":
		p.add(key, "LRANGE", key, "0", "-1")
	case "stream":
		p.add(key, "XRANGE", key, "-", "+")
	}
}
