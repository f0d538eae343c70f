package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"firth/internal/source"
)

// maxReplies bounds the replies of a pipeline that are held, in bytes: those that begin behind it are asked for again.
const maxReplies = 16 << 20

// pipe sends commands in one go and holds the replies as bytes. It is used again and again, by one goroutine.
type pipe struct {
	calls []*call
	n     int
	sink  sink
	batch []goredis.Cmder
}

// call is one command.
type call struct {
	key  *string // that decides which server of a cluster is asked
	args []any
	slot slot
}

func newPipe() *pipe { return &pipe{sink: sink{limit: maxReplies}} }

// add adds a command. The arguments are strings, numbers and pointers to strings, which must stay until run has ended.
func (p *pipe) add(key *string, args ...any) {
	if p.n == len(p.calls) {
		p.calls = append(p.calls, &call{slot: slot{s: &p.sink}})
	}
	c := p.calls[p.n]
	c.key, c.args = key, append(c.args[:0], args...)
	p.n++
}

// clear forgets commands and replies, and keeps the memory.
func (p *pipe) clear() {
	p.n, p.sink.b = 0, p.sink.b[:0]
	if cap(p.sink.b) > 2*maxReplies {
		p.sink.b = nil
	}
}

// reply is the reader of the reply to a command; gone says that there was no room for it.
func (p *pipe) reply(i int) reply { return p.calls[i].slot.reply() }

func (p *pipe) gone(i int) bool { return p.calls[i].slot.gone }

// run sends the commands, each to the server that has its key, and reads the replies.
func (p *pipe) run(ctx context.Context, t *Table, c *servers) error {
	for _, x := range p.calls[:p.n] {
		x.slot.begun, x.slot.gone = false, false
	}
	if c.cluster == nil {
		return t.fail("read", p.send(ctx, c.one, p.calls[:p.n]))
	}
	moved, err := p.spread(ctx, c.cluster, p.calls[:p.n])
	if err == nil && len(moved) > 0 {
		c.cluster.ReloadState(ctx)
		for _, x := range moved {
			x.slot.begun = false
		}
		if moved, err = p.spread(ctx, c.cluster, moved); err == nil && len(moved) > 0 {
			err = &source.Error{
				Op: "read", Name: t.name(), Err: fmt.Errorf("the cluster moves the key %q", *moved[0].key), Retry: true,
				Advice: "it goes by itself when the slots have been moved: redis-cli --cluster check " + t.address,
			}
		}
	}
	return t.fail("read", err)
}

// spread sends commands to the masters of their keys, and returns those that were told to go elsewhere.
func (p *pipe) spread(ctx context.Context, cluster *goredis.ClusterClient, calls []*call) (moved []*call, err error) {
	nodes := map[*goredis.Client][]*call{}
	var order []*goredis.Client
	for _, x := range calls {
		m, err := cluster.MasterForKey(ctx, *x.key)
		if err != nil {
			return nil, err
		}
		if nodes[m] == nil {
			order = append(order, m)
		}
		nodes[m] = append(nodes[m], x)
	}
	for _, m := range order {
		if err := p.send(ctx, m, nodes[m]); err != nil {
			return nil, err
		}
	}
	for _, x := range calls {
		if x.slot.gone {
			continue
		}
		r := x.slot.reply()
		if kind, _, text, err := r.next(); err == nil && kind == '-' {
			switch code(string(text)) {
			case "MOVED", "ASK", "TRYAGAIN":
				moved = append(moved, x)
			}
		}
	}
	return moved, nil
}

// send sends commands to one server. Each reply goes to its slot as bytes; an error of the server is a reply like another.
func (p *pipe) send(ctx context.Context, c *goredis.Client, calls []*call) error {
	p.batch = p.batch[:0]
	for _, x := range calls {
		p.batch = append(p.batch, goredis.NewRawWriteToCmd(ctx, &x.slot, x.args...))
	}
	line := c.Pipeline()
	if err := line.BatchProcess(ctx, p.batch...); err != nil {
		return err
	}
	_, err := line.Exec(ctx)
	return err
}
