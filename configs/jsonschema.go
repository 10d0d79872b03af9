package configs

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"

	"weir/sinks"
	"weir/sources"
)

// schema is the part of JSON Schema that the configuration needs. Draft 7 is
// what editors know best.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	Ref                  string             `json:"$ref,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 any                `json:"type,omitempty"`
	Const                string             `json:"const,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Default              any                `json:"default,omitempty"`
	Examples             []string           `json:"examples,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	MinLength            int                `json:"minLength,omitempty"`
	MinProperties        int                `json:"minProperties,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false or *schema
	AllOf                []*schema          `json:"allOf,omitempty"`
	If                   *schema            `json:"if,omitempty"`
	Then                 *schema            `json:"then,omitempty"`
	Definitions          map[string]*schema `json:"definitions,omitempty"`
}

const (
	durationPattern = `^([0-9]+w)?([0-9]+d)?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$`
	sizePattern     = `^[0-9]+ ?([KMGT]i?B|B)?$`
)

// WriteJSONSchema writes the JSON Schema of the configuration, for editors.
func WriteJSONSchema(w io.Writer, apps []*sources.Connector, drivers []*sinks.Driver) error {
	defs := map[string]*schema{}
	agent := section(reflect.ValueOf(newAgent()))
	agent.Description = "the agent itself"

	hooks := section(reflect.ValueOf(Hooks{}))
	hooks.Description = "where apps tell of changes"

	governance := section(reflect.ValueOf(newGovernance()))
	governance.Description = "what may be changed at the vendors, and by whom"
	governance.Properties["principals"] = &schema{
		Type: []string{"object", "null"}, Description: "who may ask and approve, by name",
		PropertyNames: &schema{Pattern: namePattern}, AdditionalProperties: section(reflect.ValueOf(Principal{})),
	}

	var types, names []string
	for _, d := range drivers {
		types = append(types, d.Type)
		s := section(defaultsOf(d.Config()))
		s.Description = d.Doc
		for k, v := range section(reflect.ValueOf(SinkCommon{})).Properties {
			s.Properties[k] = v
		}
		s.require("type", &schema{Const: d.Type})
		defs["sink-"+d.Type] = s
	}
	for _, c := range apps {
		names = append(names, c.App)
		s := section(defaultsOf(c.Config()))
		s.Title = c.Title
		common := section(reflect.ValueOf(newCommon()))
		for k, v := range common.Properties {
			s.Properties[k] = v
		}
		streams := &schema{Type: []string{"object", "null"}, Description: "settings of single streams", Properties: map[string]*schema{}, AdditionalProperties: false}
		for _, info := range c.Streams {
			one := section(reflect.ValueOf(StreamSettings{Enabled: true, Every: info.Every, FullEvery: info.FullEvery}))
			one.Description = info.Doc
			streams.Properties[info.Name] = one
		}
		s.Properties["streams"] = streams
		s.require("app", &schema{Const: c.App})
		defs["app-"+c.App] = s
	}

	top := &schema{
		Schema: "http://json-schema.org/draft-07/schema#", Title: "Weir's configuration", Type: "object",
		Properties: map[string]*schema{
			"agent":      agent,
			"governance": governance,
			"hooks":      hooks,
			"sinks":      entries("where to deliver, by name", "type", "sink-", types),
			"instances":  entries("what to collect from, by name", "app", "app-", names),
		},
		Required: []string{"sinks", "instances"}, AdditionalProperties: false, Definitions: defs,
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(top)
}

// entries is a section of named entries, whose key by says what each one is.
func entries(doc, by, prefix string, kinds []string) *schema {
	entry := &schema{Type: "object", Required: []string{by}, Properties: map[string]*schema{by: {Enum: kinds}}}
	for _, k := range kinds {
		entry.AllOf = append(entry.AllOf, &schema{
			If:   &schema{Properties: map[string]*schema{by: {Const: k}}, Required: []string{by}},
			Then: &schema{Ref: "#/definitions/" + prefix + k},
		})
	}
	return &schema{
		Type: "object", Description: doc, MinProperties: 1, PropertyNames: &schema{Pattern: namePattern}, AdditionalProperties: entry,
	}
}

func (s *schema) require(key string, property *schema) {
	s.Properties[key] = property
	s.Required = append([]string{key}, s.Required...)
	s.Type = "object"
}

// section is a struct of settings; v holds the defaults.
func section(v reflect.Value) *schema {
	s := &schema{Type: []string{"object", "null"}, Properties: map[string]*schema{}, AdditionalProperties: false}
	for _, f := range fieldsOf(v.Type()) {
		s.Properties[f.Key] = f.schema(v)
		if f.Required {
			s.Required = append(s.Required, f.Key)
			s.Type = "object"
		}
	}
	return s
}

func (f field) schema(parent reflect.Value) *schema {
	if f.Section {
		s := section(f.below(parent))
		s.Description = f.Doc
		return s
	}
	v := parent.FieldByIndex(f.Index)
	s := &schema{Description: f.Doc}
	if f.Example != "" {
		s.Examples = []string{f.Example}
	}
	if text := f.text(v); text != "" && !f.Required {
		s.Default = text
	}
	switch f.Type {
	case typeBool, typeInt, typeInt64:
		s.Type, s.Default = "integer", v.Interface()
		if f.Type == typeBool {
			s.Type = "boolean"
		}
	case typeDuration:
		s.Type, s.Pattern, s.MinLength = "string", durationPattern, 2
	case typeSize:
		s.Type, s.Pattern = []string{"integer", "string"}, sizePattern
	case typeList:
		s.Type, s.Default = "array", nil
		s.Items = &schema{Type: []string{"string", "number"}, Enum: f.Enum}
	case typeSecret:
		s.Type = []string{"string", "number"}
		s.Description = strings.TrimSpace(f.Doc + " (secret: a reference ${env:NAME} or ${file:/path})")
	default:
		s.Type = []string{"string", "number"}
		if len(f.Enum) > 0 {
			s.Type, s.Enum = nil, f.Enum
		}
		if f.Required {
			s.MinLength = 1
		}
	}
	return s
}
