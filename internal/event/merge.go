package event

import (
	"bytes"
	"net/netip"
)

// envelope is what the items of a batch share.
type envelope struct {
	context, integrations members
	sentAt                []byte
	sent                  int64
}

func (e *envelope) reset() {
	e.context.reset()
	e.integrations.reset()
	e.sentAt, e.sent = nil, NoTime
}

// members are the members of an object of the envelope; of equal names the last.
type members struct {
	raw   []byte // as it came
	list  []member
	index map[string]int // name to place in list
	seen  []int          // by place: the last round in which an item had the name
	round int
}

type member struct{ name, value []byte } // as they came, the name quoted

func (m *members) reset() {
	m.raw, m.list, m.seen, m.round = nil, m.list[:0], m.seen[:0], 0
	clear(m.index)
}

// read fills the list from raw; anything but an object counts as empty.
func (m *members) read(c *cursor) {
	if len(m.raw) < 2 || m.raw[0] != '{' {
		m.raw = nil
		return
	}
	if m.index == nil {
		m.index = make(map[string]int)
	}
	c.members(m.raw, func(quoted, name, value []byte) {
		if i, ok := m.index[string(name)]; ok {
			m.list[i].value = value
			return
		}
		m.index[string(name)] = len(m.list)
		m.list, m.seen = append(m.list, member{quoted, value}), append(m.seen, 0)
	})
}

// mark notes that the item at hand has the name itself.
func (m *members) mark(name []byte) {
	if len(m.list) == 0 {
		return
	}
	if i, ok := m.index[string(name)]; ok {
		m.seen[i] = m.round
	}
}

// object puts the context and the integrations of the envelope into one object, as they came.
func (e *envelope) object() []byte {
	out := []byte{'{'}
	if e.context.raw != nil {
		out = appendMember(out, []byte(`"context"`), e.context.raw)
	}
	if e.integrations.raw != nil {
		out = appendMember(out, []byte(`"integrations"`), e.integrations.raw)
	}
	return append(out, '}')
}

// members calls fn for each member of an object that has been read before: the name as it came, the name unquoted, the value as it came.
func (c *cursor) members(object []byte, fn func(quoted, name, value []byte)) {
	c.reset(object, true)
	c.enter('{')
	for first := true; c.more(first, '}'); first = false {
		quoted, _ := c.name()
		name := c.plain(quoted)
		fn(quoted, name, c.value().of(object))
	}
}

// prepareEnvelope reads the envelope once for all items, and delivers what is wrong with it.
func (d *Decoder) prepareEnvelope() error {
	d.env.context.read(&d.c)
	d.env.integrations.read(&d.c)
	if as, ok := d.invalid[-1]; ok && len(d.items) > 0 {
		if err := d.letter(ReasonInvalidUTF8, 0, as); err != nil {
			return err
		}
	}
	var ok bool
	if d.env.sent, ok = parseTimeValue(&d.c, d.env.sentAt); !ok && len(d.items) > 0 {
		d.scratch = append(append(append(d.scratch[:0], `{"sentAt":`...), d.env.sentAt...), '}')
		return d.letter(ReasonInvalidTime, 0, d.scratch)
	}
	return nil
}

// fillableIP is the address that context.ip may be filled with: Segment does not record IPv6 peers.
func fillableIP(r *Request) string {
	if r.IP == "" || r.IPPolicy == IPDrop {
		return ""
	}
	a, err := netip.ParseAddr(r.IP)
	if err != nil || !a.Unmap().Is4() {
		return ""
	}
	return ApplyIPPolicy(r.IPPolicy, a.Unmap().String())
}

// shape sets the context and what is said about warehouses, and returns the payload of an item: less the write key, with the envelope merged in and the policy applied.
func (d *Decoder) shape(it *item) []byte {
	context := d.value(it, fContext)
	newContext, changed := d.mergeContext(context, it.contexts)
	d.call.Context = newContext
	if !changed {
		newContext = nil
	}
	integrations := d.value(it, fIntegrations)
	newIntegrations := d.mergeIntegrations(integrations)
	if newIntegrations != nil {
		integrations = newIntegrations
	}
	d.call.Integrations = d.aboutWarehouses(integrations)
	return d.build(it, newContext, newIntegrations)
}

func (d *Decoder) mergeIntegrations(own []byte) []byte {
	env := &d.env.integrations
	if len(env.list) == 0 {
		return nil
	}
	if own == nil {
		return env.raw
	}
	if own[0] != '{' {
		return nil
	}
	env.round++
	out := append(d.integrations[:0], '{')
	d.c.members(own, func(quoted, name, value []byte) {
		env.mark(name)
		out = appendMember(out, quoted, value)
	})
	d.integrations = append(env.appendRest(out), '}')
	return d.integrations
}

// appendRest appends the members that the item did not have.
func (m *members) appendRest(out []byte) []byte {
	for i, e := range m.list {
		if m.seen[i] != m.round {
			out = appendMember(out, e.name, e.value)
		}
	}
	return out
}

func appendMember(out, quoted, value []byte) []byte {
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	out = append(append(out, quoted...), ':')
	return append(out, value...)
}

// mergeContext gives the context of an item, and whether it differs from its own.
func (d *Decoder) mergeContext(own []byte, count int) (context []byte, changed bool) {
	env := &d.env.context
	if own != nil && own[0] != '{' {
		return own, false
	}
	fill := d.ip != "" && (d.r.Client || bytes.Contains(own, []byte(`"direct"`)) || bytes.Contains(env.raw, []byte(`"direct"`)))
	if d.r.IPPolicy == IPKeep && !fill {
		if len(env.list) == 0 {
			return own, false
		}
		if own == nil {
			return env.raw, true
		}
	}
	if own == nil {
		if len(env.list) == 0 && !fill {
			return nil, false
		}
		own = []byte("{}")
	}
	if d.r.Client && d.r.IPPolicy == IPKeep && len(env.list) == 0 && !mayHaveIP(own) {
		d.context = append(append(append(d.context[:0], `{"ip":"`...), d.ip...), '"')
		if rest := bytes.TrimLeft(own[1:], " \t\r\n"); rest[0] != '}' {
			d.context = append(d.context, ',')
		}
		d.context = append(d.context, own[1:]...)
		return d.context, true
	}
	m := contextMerge{d: d, out: append(d.context[:0], '{'), direct: d.r.Client}
	env.round++
	d.c.members(own, m.own)
	for i, e := range env.list {
		if env.seen[i] != env.round {
			m.changed = true
			m.add(e.name, unquoted(e.name), e.value)
		}
	}
	if d.ip != "" && m.direct && !m.hasIP {
		m.changed = true
		m.out = appendMember(m.out, []byte(`"ip"`), append(append([]byte{'"'}, d.ip...), '"'))
	}
	d.context = append(m.out, '}')
	if !m.changed && (count < 2 || d.r.IPPolicy == IPKeep) {
		return own, false
	}
	return d.context, true
}

// mayHaveIP tells whether an object needs a closer look before ip is added: the name occurs, or could in escaped form.
func mayHaveIP(object []byte) bool {
	return bytes.Contains(object, []byte(`"ip"`)) || bytes.Contains(object, []byte(`\u00`))
}

// contextMerge builds one context.
type contextMerge struct {
	d                      *Decoder
	out                    []byte
	direct, hasIP, changed bool
}

func (m *contextMerge) own(quoted, name, value []byte) {
	m.d.env.context.mark(name)
	m.add(quoted, name, value)
}

func (m *contextMerge) add(quoted, name, value []byte) {
	switch string(name) {
	case "direct":
		m.direct = m.direct || string(value) == "true"
	case "ip":
		if value[0] == 'n' {
			m.changed = true
			return
		}
		if m.d.r.IPPolicy != IPKeep {
			ip := ApplyIPPolicy(m.d.r.IPPolicy, string(unquoted(value)))
			if ip == "" {
				m.changed = true
				return
			}
			ip = `"` + ip + `"`
			m.changed = m.changed || ip != string(value)
			value = []byte(ip)
		}
		m.hasIP = true
	}
	m.out = appendMember(m.out, quoted, value)
}

// build gives the payload of an item; context and integrations replace its own where they are not nil.
func (d *Decoder) build(it *item, context, integrations []byte) []byte {
	cuts := d.cuts[it.cuts.start:it.cuts.end]
	at, out := it.all.start, d.payload[:0]
	for _, c := range cuts {
		if c.field == fContext && context == nil || c.field == fIntegrations && integrations == nil {
			continue
		}
		out = append(out, d.body[at:c.start]...)
		at = c.end
		for isSpace(d.body[at]) {
			at++
		}
		if d.body[at] == ',' {
			at++
			continue
		}
		// The last member goes with the comma before it.
		out = bytes.TrimRight(out, " \t\r\n")
		out = bytes.TrimSuffix(out, []byte{','})
	}
	if at == it.all.start && context == nil && integrations == nil {
		return it.all.of(d.body)
	}
	out = append(out, d.body[at:it.all.end-1]...)
	out = bytes.TrimRight(out, " \t\r\n")
	if context != nil {
		out = appendMember(out, []byte(`"context"`), context)
	}
	if integrations != nil {
		out = appendMember(out, []byte(`"integrations"`), integrations)
	}
	d.payload = append(out, '}')
	return d.payload
}
