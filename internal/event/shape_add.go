package event

import (
	"fmt"
	"strings"

	"firth/internal/name"
	"firth/internal/table"
)

// Add shapes one call into rows. Nothing of a call is refused: what does not fit is listed in the load's discards. The error says
// that the call cannot be one of ours at all, and nothing was added. The call is not kept.
func (s *Shaper) Add(c *Call) error {
	if s.cached > maxCachedBytes {
		s.clearCaches()
	}
	var main *shapeTable
	switch c.Type {
	case "track":
		main = s.standardTable("tracks")
	case "identify":
		main = s.standardTable("identifies")
	case "page", "screen", "group":
		main = s.standardTable(c.Type + "s")
	case "alias":
		main = s.standardTable("aliases")
	default:
		return fmt.Errorf("shape call %s: unknown type %q", c.MessageID, c.Type)
	}
	s.calls++
	s.begin(c, main)
	if c.Type == "track" {
		s.track(c, main)
		return nil
	}
	s.props = s.flatten(s.props[:0], c, c.Properties, main, main.tree)
	s.row(main, c, s.props, s.ctx)
	if upsert, id := s.upserted(c); upsert != nil {
		s.std[stdID] = table.Text(id)
		s.row(upsert, c, s.props, s.ctx)
	}
	return nil
}

func (s *Shaper) track(c *Call, tracks *shapeTable) {
	place := s.event(c.Event)
	s.std[stdEvent], s.std[stdEventText] = textOrNull(place.slug), textOrNull(c.Event)
	s.row(tracks, c, nil, s.ctx)
	if place.table == nil {
		return
	}
	s.props = s.flatten(s.props[:0], c, c.Properties, place.table, place.table.tree)
	s.row(place.table, c, s.props, s.ctx)
}

// upserted is the table that keeps one row of the call's user or account, and the row's id.
func (s *Shaper) upserted(c *Call) (*shapeTable, string) {
	switch {
	case c.Type == "identify" && strings.TrimSpace(c.UserID) != "":
		return s.standardTable("users"), c.UserID
	case c.Type == "group" && strings.TrimSpace(s.std[stdGroupID].Text) != "":
		return s.standardTable("accounts"), s.std[stdGroupID].Text
	}
	return nil, ""
}

// begin sets what all rows of a call share.
func (s *Shaper) begin(c *Call, main *shapeTable) {
	clear(s.std[:])
	s.std[stdID], s.std[stdReceivedAt], s.std[stdTimestamp] = table.Text(c.MessageID), table.Time(c.ReceivedAt), table.Time(c.TS)
	s.std[stdAnonymousID], s.std[stdUserID] = textOrNull(c.AnonymousID), textOrNull(c.UserID)
	s.std[stdSentAt], s.std[stdOriginalTimestamp] = timeOrNull(c.SentAt), timeOrNull(c.OriginalTimestamp)
	if computed, future := ClockTS(c); future {
		s.discard(c, main, Discard{
			ColumnName: s.rules.Standard(stdTimestamp.name()), Value: table.Time(computed).String(),
			ValueType: table.Timestamp.String(), ColumnType: table.Timestamp.String(), Reason: DiscardFuture,
		})
	}
	if s.rules.Mode == name.RudderStack || c.Type != "track" && c.Type != "identify" {
		s.payload(c, main)
	}
	s.ctx = s.flatten(s.ctx[:0], c, c.Context, main, s.context)
}

func textOrNull(text string) table.Value {
	if text == "" {
		return table.Value{}
	}
	return table.Text(text)
}

func timeOrNull(us int64) table.Value {
	if us == NoTime {
		return table.Value{}
	}
	return table.Time(us)
}

// flatten appends the leaves of a document; what is not JSON is discarded from the fault on.
func (s *Shaper) flatten(dst []leaf, c *Call, doc []byte, t *shapeTable, tree *pathTree) []leaf {
	leaves, err := s.flat.run(dst, doc, tree)
	if err != nil {
		s.discard(c, t, Discard{ColumnName: tree.root.path, Value: string(doc), ValueType: "json", Reason: DiscardMalformed})
	}
	return leaves
}

// payload reads the standard columns that stand in the call itself and nowhere else.
func (s *Shaper) payload(c *Call, main *shapeTable) {
	w := &s.flat.w
	defer w.release()
	w.reset(c.Payload, true)
	if w.dec.PeekKind() != '{' {
		return
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return
	}
	for w.dec.PeekKind() != '}' {
		key, err := w.name()
		if err != nil {
			return
		}
		std := payloadColumn(string(key))
		if std == stdCount || main.std[std] < 0 {
			if w.dec.SkipValue() != nil {
				return
			}
			continue
		}
		kind := w.dec.PeekKind()
		raw, err := w.dec.ReadValue()
		if err != nil {
			return
		}
		switch kind {
		case 'n':
		case '"':
			s.std[std] = textOrNull(string(unquoted(raw)))
		case '{', '[':
			s.discard(c, main, Discard{
				ColumnName: main.columns[main.std[std]].Name, Value: string(raw), ValueType: "json",
				ColumnType: table.String.String(), Reason: DiscardNotScalar,
			})
		default:
			s.std[std] = table.Text(string(raw))
		}
	}
}

// payloadColumn is the standard column of a field of the call, or stdCount.
func payloadColumn(key string) stdColumn {
	switch key {
	case "name":
		return stdName
	case "category":
		return stdCategory
	case "groupId":
		return stdGroupID
	case "previousId":
		return stdPreviousID
	case "channel":
		return stdChannel
	case "request_ip":
		return stdRequestIP
	}
	return stdCount
}

// row adds a row to a table.
func (s *Shaper) row(t *shapeTable, c *Call, props, ctx []leaf) {
	if len(t.rows) == 0 {
		s.touched = append(s.touched, t)
	}
	t.rowNo++
	cells := s.room(len(t.standard) + len(props) + len(ctx) + 1)
	for _, k := range t.standard {
		if s.std[k].Type != table.Null {
			cells = append(cells, table.Cell{Col: t.std[k], Value: s.std[k]})
		}
	}
	first := len(cells)
	s.over.reset()
	cells = s.put(t, cells, &t.props, props)
	cells = s.put(t, cells, &t.context, ctx)
	for i := first; i < len(cells); i++ {
		t.state[cells[i].Col].seen |= 1 << cells[i].Value.Type
	}
	if text := s.over.text(); text != "" {
		cells = append(cells, table.Cell{Col: t.overflowAt(s.rules), Value: table.Text(text)})
	}
	s.cells = s.cells[len(cells):]
	t.rows = append(t.rows, table.Row{Cells: cells[:len(cells):len(cells)], Offset: c.Offset})
}

// room returns an empty slice with place for n cells, at the start of s.cells.
func (s *Shaper) room(n int) []table.Cell {
	if len(s.cells) < n {
		s.cells = make([]table.Cell, max(n, 4096))
	}
	return s.cells[:0]
}

// put appends the cells of leaves. Of values that share a column the last stays; one that came under another name and differs goes to
// the overflow.
func (s *Shaper) put(t *shapeTable, cells []table.Cell, cache *columnCache, leaves []leaf) []table.Cell {
	for i := range leaves {
		l := &leaves[i]
		code := s.code(t, cache, l.node)
		at := code - firstColumn
		if code < firstColumn {
			var ok bool
			if at, ok = s.elsewhere(t, code, l); !ok {
				continue
			}
		}
		t.inexact = t.inexact || !l.exact
		st := &t.state[at]
		if st.row == t.rowNo {
			if st.leaf.node != l.node && st.leaf.value != l.value {
				s.over.add(st.leaf.node, st.leaf.raw)
			}
			cells[st.cell].Value, st.leaf = l.value, l
			continue
		}
		st.row, st.cell, st.leaf = t.rowNo, int32(len(cells)), l
		cells = append(cells, table.Cell{Col: at, Value: l.value})
	}
	return cells
}

// elsewhere deals with a leaf that has no fixed column: it goes to the overflow, or it is a page's or screen's property called name
// or category. Such a property stands in for the call's own field; it has a column of its own where both exist and differ.
func (s *Shaper) elsewhere(t *shapeTable, code int32, l *leaf) (at int32, ok bool) {
	std := stdName
	switch code {
	case codeCategory:
		std = stdCategory
	case codeName:
	default:
		s.over.add(l.node, l.raw)
		return 0, false
	}
	own := s.std[std]
	if own.Type == table.Null {
		return t.std[std], true
	}
	if own.Text == l.value.String() {
		return 0, false
	}
	if at, ok = s.column(t, l.node.path); !ok {
		s.over.add(l.node, l.raw)
	}
	return at, ok
}

func (s *Shaper) discard(c *Call, t *shapeTable, d Discard) {
	d.TableName, d.RowID, d.ReceivedAt = t.name, c.MessageID, c.ReceivedAt
	s.discards = append(s.discards, d)
}
