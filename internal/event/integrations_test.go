package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

func TestForWarehouse(t *testing.T) {
	for _, tt := range []struct {
		name, integrations string
		main, other        bool // are they loaded
	}{
		{"absent", ``, true, true},
		{"empty", `{}`, true, true},
		{"All true", `{"All":true}`, true, true},
		{"other destinations only", `{"Mixpanel":false,"Slack":true}`, true, true},
		{"Warehouses.all false", `{"Warehouses":{"all":false}}`, false, false},
		{"Warehouses.all false beside All true", `{"All":true,"Warehouses":{"all":false}}`, false, false},
		{"All false, Warehouses.all true", `{"All":false,"Warehouses":{"all":true}}`, true, true},
		{"All false alone", `{"All":false}`, false, false},
		{"All false and another destination", `{"All":false,"Mixpanel":true}`, false, false},
		{"named, All false", `{"All":false,"Warehouses":{"warehouseIds":["main"]}}`, true, false},
		{"named", `{"Warehouses":{"warehouseIds":["main"]}}`, true, false},
		{"two named", `{"All":false,"Warehouses":{"warehouseIds":["other","main"]}}`, true, true},
		{"none named", `{"All":false,"Warehouses":{"warehouseIds":[]}}`, false, false},
		{"named, and all false", `{"Warehouses":{"all":false,"warehouseIds":["main"]}}`, true, false},
		{"named, and all true", `{"All":false,"Warehouses":{"all":true,"warehouseIds":["main"]}}`, true, true},
		{"an escaped name", `{"Ware\u0068ouses":{"warehouseIds":["\u006dain"]}}`, true, false},
		{"a name in another case", `{"All":false,"Warehouses":{"warehouseIds":["Main"]}}`, false, false},
		{"Warehouses true", `{"All":false,"Warehouses":true}`, true, true},
		{"Warehouses false", `{"All":true,"Warehouses":false}`, false, false},
		{"Warehouses null", `{"All":false,"Warehouses":null}`, false, false},
		{"Warehouses null, All absent", `{"Warehouses":null}`, true, true},
		{"Warehouses without choice", `{"All":false,"Warehouses":{"option":1}}`, true, true},
		{"all null", `{"All":false,"Warehouses":{"all":null,"warehouseIds":null}}`, true, true},
		{"the last of equal names", `{"All":false,"All":true,"Warehouses":{"all":true},"Warehouses":{"all":false,"all":true}}`, true, true},
		{"keys in another case", `{"all":false,"warehouses":{"all":false}}`, true, true},
		{"All is a text", `{"All":"false"}`, true, true},
		{"All is null", `{"All":null}`, true, true},
		{"Warehouses is a text", `{"All":false,"Warehouses":"main"}`, true, true},
		{"Warehouses is a number", `{"All":false,"Warehouses":0}`, true, true},
		{"Warehouses is an array", `{"All":false,"Warehouses":["main"]}`, true, true},
		{"all is a text", `{"Warehouses":{"all":"false"}}`, true, true},
		{"warehouseIds is a text", `{"All":false,"Warehouses":{"warehouseIds":"other"}}`, true, true},
		{"warehouseIds has a number", `{"All":false,"Warehouses":{"warehouseIds":["other",7]}}`, true, true},
		{"cut short", `{"All":false`, true, true},
		{"text behind", `{"All":false}x`, true, true},
		{"an array", `[{"All":false}]`, true, true},
		{"null", `null`, true, true},
		{"white space", " { \"All\" : false , \"Warehouses\" : { \"warehouseIds\" : [ \"main\" ] } } \n", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for warehouse, want := range map[string]bool{"main": tt.main, "other": tt.other} {
				if got := ForWarehouse([]byte(tt.integrations), warehouse); got != want {
					t.Errorf("ForWarehouse(%s, %s) = %v", tt.integrations, warehouse, got)
				}
			}
		})
	}
}

// oracle is ForWarehouse by way of encoding/json, for text that it can read.
func oracle(integrations []byte, warehouse string) bool {
	var o map[string]any
	if json.Unmarshal(integrations, &o) != nil || o == nil {
		return true
	}
	if o["Warehouses"] == nil {
		return o["All"] != false
	}
	w, ok := o["Warehouses"].(map[string]any)
	if !ok {
		return o["Warehouses"] != false
	}
	if w["all"] == true {
		return true
	}
	if w["warehouseIds"] == nil {
		return w["all"] != false
	}
	ids, ok := w["warehouseIds"].([]any)
	for _, id := range ids {
		if _, text := id.(string); !text {
			return true
		}
	}
	return !ok || slices.Contains(ids, any(warehouse))
}

// What a call says is the same read by another reader, and the same after the decoder kept only what matters of it.
func FuzzForWarehouse(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"All":false}`, `{"All":false,"Warehouses":{"all":true}}`, `{"Warehouses":{"warehouseIds":["main","x"],"all":false}}`,
		`{"A\u006cl":false,"Warehouses":{"warehouseIds":[" main ",1]}}`, `{"All":false,"Warehouses":[{}],"Warehouses":null}`, `{"All":fals`,
	} {
		f.Add([]byte(s), "main")
	}
	f.Fuzz(func(t *testing.T, integrations []byte, warehouse string) {
		got := ForWarehouse(integrations, warehouse)
		if want := oracle(integrations, warehouse); got != want {
			// encoding/json refuses or alters what is no UTF-8 and what is nested very deeply.
			if json.Valid(integrations) && bytes.Equal(integrations, bytes.ToValidUTF8(integrations, nil)) && !bytes.Contains(integrations, []byte(`\u`)) {
				t.Errorf("ForWarehouse(%q, %q) = %v", integrations, warehouse, got)
			}
		}
		var d Decoder
		kept := bytes.Clone(d.aboutWarehouses(bytes.TrimLeft(integrations, " \t\r\n")))
		if after := ForWarehouse(kept, warehouse); after != got {
			t.Errorf("%q: %v, of what is kept of it, %q: %v", integrations, got, kept, after)
		}
	})
}

// The envelope's object is merged into each item's, name by name, and of the outcome is kept what speaks of warehouses.
func TestDecodeIntegrations(t *testing.T) {
	body := `{"integrations":{"All":false,"Warehouses":{"warehouseIds":["main" , "x"]},"Slack":true},"batch":[
		{"type":"page","userId":"u"},
		{"type":"page","userId":"u","integrations":{"Warehouses":true}},
		{"type":"page","userId":"u","integrations":{"All":true,"Warehouses":null}},
		{"type":"page","userId":"u","integrations":{"Mixpanel":false,"All":true}},
		{"type":"page","userId":"u","integrations":"none"},
		{"type":"page","userId":"u","integrations":null}]}`
	named := `{"All":false,"Warehouses":{"warehouseIds":["main","x"]}}`
	want := []string{named, `{"All":false,"Warehouses":true}`, ``, `{"Warehouses":{"warehouseIds":["main","x"]}}`, ``, named}
	var d Decoder
	got, err := decodeAll(&d, &Request{Body: []byte(body)})
	if err != nil || len(got.Calls) != len(want) {
		t.Fatalf("%d calls, %d dead letters: %v", len(got.Calls), len(got.Dead), err)
	}
	for i, c := range got.Calls {
		if string(c.Integrations) != want[i] || (c.Integrations == nil) != (want[i] == "") {
			t.Errorf("call %d says %q, want %q", i, c.Integrations, want[i])
		}
	}
	for _, own := range []string{`{}`, `{"All":true}`, `{"Slack":{"All":false}}`, `[]`, `7`} {
		r := &Request{Type: "page", Body: fmt.Appendf(nil, `{"userId":"u","integrations":%s}`, own)}
		got, err := decodeAll(&d, r)
		if err != nil || len(got.Calls) != 1 || got.Calls[0].Integrations != nil {
			t.Errorf("of %s is kept: %+v, %v", own, got, err)
		}
	}
}
