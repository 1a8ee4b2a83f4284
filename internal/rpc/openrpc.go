package rpc

import (
	"context"
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/starlingp2p/starling"
)

// openRPCVersion is the version of the specification that the document follows
// (https://spec.open-rpc.org).
const openRPCVersion = "1.3.2"

// Document describes a server's methods, as OpenRPC says.
type Document struct {
	OpenRPC    string           `json:"openrpc"`
	Info       DocumentInfo     `json:"info"`
	Methods    []DocumentMethod `json:"methods"`
	Components struct {
		Schemas map[string]any `json:"schemas"`
	} `json:"components"`
}

// DocumentInfo says what a Document is of.
type DocumentInfo struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

// DocumentMethod is one method of a Document.
type DocumentMethod struct {
	Name           string          `json:"name"`
	Summary        string          `json:"summary"`
	ParamStructure string          `json:"paramStructure"`
	Params         []DocumentParam `json:"params"`
	Result         DocumentParam   `json:"result"`
	// Authority tells that a method needs the unix socket or the token.
	Authority bool `json:"x-authority"`
}

// DocumentParam is a parameter, or a result.
type DocumentParam struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Schema      any    `json:"schema"`
}

// Describe adds rpc.discover, which gives the document of all methods and
// subscriptions, and rpc_modules. It is called after the last AddFeed.
func (s *Server) Describe(info DocumentInfo) {
	document := sync.OnceValues(func() (json.RawMessage, error) { return json.Marshal(s.document(info)) })
	s.methods["rpc.discover"] = starling.Method{
		Name: "rpc.discover", Doc: "This document, as the OpenRPC specification defines it.", Result: json.RawMessage(nil),
		Call: func(context.Context, json.RawMessage) (any, error) { return document() },
	}
	s.methods["rpc_modules"] = starling.Method{
		Name: "rpc_modules", Doc: "The namespaces that the node has, each with its version.", Result: map[string]string{},
		Call: func(context.Context, json.RawMessage) (any, error) { return s.modules(), nil },
	}
}

// modules are the namespaces of all methods.
func (s *Server) modules() map[string]string {
	out := map[string]string{}
	for name := range s.methods {
		if ns, _, ok := strings.Cut(name, "_"); ok {
			out[ns] = "1.0"
		}
	}
	for ns := range s.feeds {
		out[ns] = "1.0"
	}
	return out
}

func (s *Server) document(info DocumentInfo) *Document {
	d := &Document{OpenRPC: openRPCVersion, Info: info, Methods: []DocumentMethod{}}
	types := &schemas{defs: map[string]any{}, names: map[reflect.Type]string{}}
	for _, name := range slices.Sorted(maps.Keys(s.methods)) {
		d.Methods = append(d.Methods, types.method(s.methods[name]))
	}
	for _, ns := range slices.Sorted(maps.Keys(s.feeds)) {
		feeds := s.feeds[ns]
		names := slices.Sorted(maps.Keys(feeds))
		about := []string{"Subscribes, on a connection that stays. The notifications are of method " + ns + "_subscription."}
		var results []any
		for _, name := range names {
			about = append(about, name+": "+feeds[name].Doc)
			results = append(results, types.of(reflect.TypeOf(feeds[name].Result)))
		}
		d.Methods = append(d.Methods, DocumentMethod{
			Name: ns + "_subscribe", Summary: strings.Join(about, " "), ParamStructure: "by-position",
			Params: []DocumentParam{
				{Name: "subscription", Description: "what to subscribe to", Required: true, Schema: map[string]any{"type": "string", "enum": names}},
				{Name: "options", Description: "what the subscription takes, if anything", Schema: map[string]any{}},
			},
			Result: DocumentParam{Name: "id", Description: "the subscription's id; each notification carries it, with a result of one of the schemas below", Schema: map[string]any{
				"type": "string", "x-notifications": results,
			}},
		}, DocumentMethod{
			Name: ns + "_unsubscribe", Summary: "Ends a subscription.", ParamStructure: "by-position",
			Params: []DocumentParam{{Name: "id", Description: "what " + ns + "_subscribe gave", Required: true, Schema: map[string]any{"type": "string"}}},
			Result: DocumentParam{Name: "result", Schema: map[string]any{"type": "boolean"}},
		})
	}
	slices.SortFunc(d.Methods, func(a, b DocumentMethod) int { return strings.Compare(a.Name, b.Name) })
	d.Components.Schemas = types.defs
	return d
}

// schemas makes JSON Schema of Go types, as encoding/json writes them.
type schemas struct {
	defs  map[string]any
	names map[reflect.Type]string
}

func (t *schemas) method(m starling.Method) DocumentMethod {
	out := DocumentMethod{
		Name: m.Name, Summary: m.Doc, ParamStructure: "by-position", Params: []DocumentParam{}, Authority: m.Write,
		Result: DocumentParam{Name: "result", Schema: t.of(reflect.TypeOf(m.Result))},
	}
	for _, p := range m.Params {
		out.Params = append(out.Params, DocumentParam{Name: p.Name, Description: p.Doc, Required: !p.Optional, Schema: t.of(reflect.TypeOf(p.Type))})
	}
	return out
}

// of is the schema of a type; that of nil lets everything be.
func (t *schemas) of(typ reflect.Type) map[string]any {
	plain := func(name string) map[string]any { return map[string]any{"type": name} }
	switch {
	case typ == nil || typ == reflect.TypeFor[json.RawMessage]() || typ.Kind() == reflect.Interface:
		return map[string]any{}
	case typ == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case typ.Kind() == reflect.Pointer:
		return map[string]any{"oneOf": []any{t.of(typ.Elem()), plain("null")}}
	case typ.Implements(reflect.TypeFor[json.Marshaler]()):
		return map[string]any{}
	case typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return plain("string")
	}
	switch typ.Kind() {
	case reflect.Bool:
		return plain("boolean")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return plain("integer")
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return plain("number")
	case reflect.Slice, reflect.Array:
		if typ.Elem().Kind() == reflect.Uint8 {
			return plain("string")
		}
		return map[string]any{"type": "array", "items": t.of(typ.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": t.of(typ.Elem())}
	case reflect.Struct:
		return t.ref(typ)
	}
	return plain("string")
}

// ref describes a struct once, and points to that.
func (t *schemas) ref(typ reflect.Type) map[string]any {
	if typ.Name() == "" {
		return t.object(typ)
	}
	name, known := t.names[typ]
	if !known {
		name = typ.Name()
		for t.defs[name] != nil {
			name += "2"
		}
		t.names[typ], t.defs[name] = name, true // it may be inside of itself
		t.defs[name] = t.object(typ)
	}
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

func (t *schemas) object(typ reflect.Type) map[string]any {
	properties := map[string]any{}
	required := t.fields(typ, properties)
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// fields adds what a struct has to properties, and gives the names of those
// that are always there. What it embeds counts as its own, as in JSON.
func (t *schemas) fields(typ reflect.Type, properties map[string]any) (required []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-":
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			required = append(required, t.fields(f.Type, properties)...)
			continue
		case name == "":
			name = f.Name
		}
		properties[name] = t.of(f.Type)
		if !strings.Contains(opts, "omit") {
			required = append(required, name)
		}
	}
	return required
}
