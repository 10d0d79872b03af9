package spectest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

// The discovery documents of Google's APIs, by file below the cache.
const (
	GoogleDirectory    = "google-api-v0.311.0/directory.json"
	GoogleReports      = "google-api-v0.311.0/reports.json"
	GoogleDataTransfer = "google-api-v0.311.0/datatransfer.json"
	GoogleDrive        = "google-api-v0.311.0/drive.json"
	GoogleAlerts       = "google-api-v0.311.0/alertcenter.json"
)

// LoadDiscovery is Load of Google's own format, of several documents as one.
// Objects are taken as closed: a member that a document does not know is a
// deviation.
func LoadDiscovery(t testing.TB, known []Known, files ...string) *Spec {
	t.Helper()
	out := discovered{paths: object{}, schemas: object{}}
	for _, file := range files {
		b, err := os.ReadFile(cached(t, file))
		require.NoError(t, err)
		var d discoveryDoc
		require.NoError(t, json.Unmarshal(b, &d))
		out.prefix = strings.TrimSuffix(filepath.Base(file), ".json") + "."
		out.add(&d)
	}
	doc, err := json.Marshal(object{
		"openapi": "3.0.3", "info": object{"title": "Google", "version": "1"}, "paths": out.paths, "components": object{"schemas": out.schemas},
	})
	require.NoError(t, err)
	api, err := openapi3.NewLoader().LoadFromData(doc)
	require.NoError(t, err)
	return newSpec(t, api, known)
}

type object = map[string]any

// discoveryDoc is a discovery document.
type discoveryDoc struct {
	ServicePath string                      `json:"servicePath"`
	Parameters  map[string]discoverySchema  `json:"parameters"`
	Schemas     map[string]discoverySchema  `json:"schemas"`
	Resources   map[string]discoveryMethods `json:"resources"`
}

type discoveryMethods struct {
	Methods   map[string]discoveryMethod  `json:"methods"`
	Resources map[string]discoveryMethods `json:"resources"`
}

type discoveryMethod struct {
	FlatPath   string                     `json:"flatPath"`
	Path       string                     `json:"path"`
	Method     string                     `json:"httpMethod"`
	Parameters map[string]discoverySchema `json:"parameters"`
	Request    *discoverySchema           `json:"request"`
	Response   *discoverySchema           `json:"response"`
	Upload     struct {
		Protocols struct {
			Simple struct {
				Path string `json:"path"`
			} `json:"simple"`
		} `json:"protocols"`
	} `json:"mediaUpload"`
}

type discoverySchema struct {
	Ref        string                     `json:"$ref"`
	Type       string                     `json:"type"`
	Format     string                     `json:"format"`
	Location   string                     `json:"location"`
	Required   jsontext.Value             `json:"required"` // of parameters a bool
	Repeated   bool                       `json:"repeated"`
	Enum       []string                   `json:"enum"`
	Properties map[string]discoverySchema `json:"properties"`
	Additional *discoverySchema           `json:"additionalProperties"`
	Items      *discoverySchema           `json:"items"`
}

// discovered is the documents as one OpenAPI document.
type discovered struct {
	prefix         string // of the names of a document's schemas
	paths, schemas object
}

func (o *discovered) add(d *discoveryDoc) {
	for name, s := range d.Schemas {
		o.schemas[o.prefix+name] = o.schema(&s)
	}
	for _, r := range d.Resources {
		o.resource(d, &r)
	}
}

func (o *discovered) resource(d *discoveryDoc, r *discoveryMethods) {
	for _, m := range r.Methods {
		path := m.FlatPath
		if path == "" {
			path = m.Path
		}
		o.operation(d, &m, "/"+d.ServicePath+path, false)
		if p := m.Upload.Protocols.Simple.Path; p != "" {
			o.operation(d, &m, p, true)
		}
	}
	for _, r := range r.Resources {
		o.resource(d, &r)
	}
}

var inBraces = regexp.MustCompile(`\{\+?([^}]+)\}`)

func (o *discovered) operation(d *discoveryDoc, m *discoveryMethod, path string, media bool) {
	path = strings.ReplaceAll(path, "{+", "{")
	var parameters []any
	for _, name := range inBraces.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, all := range []map[string]discoverySchema{d.Parameters, m.Parameters} {
		for name, s := range all {
			if s.Location != "query" {
				continue
			}
			schema := o.schema(&s)
			if s.Enum != nil {
				schema["enum"] = s.Enum
			}
			if s.Repeated {
				schema = object{"type": "array", "items": schema}
			}
			parameters = append(parameters, object{"name": name, "in": "query", "required": string(s.Required) == "true", "schema": schema})
		}
	}
	good := object{"description": "good"}
	if m.Response != nil && m.Response.Ref != "" {
		good["content"] = object{"application/json": object{"schema": o.schema(m.Response)}}
	}
	op := object{"parameters": parameters, "responses": object{"200": good, "204": object{"description": "nothing"}, "default": object{"description": "refused"}}}
	if m.Request != nil && !media {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": o.schema(m.Request)}}}
	}
	if o.paths[path] == nil {
		o.paths[path] = object{}
	}
	o.paths[path].(object)[strings.ToLower(m.Method)] = op //nolint:forcetypeassert // nothing else is put in
}

// schema converts one. 64-bit numbers are texts of digits.
func (o *discovered) schema(s *discoverySchema) object {
	switch {
	case s.Ref != "":
		return object{"$ref": "#/components/schemas/" + o.prefix + s.Ref}
	case s.Type == "any":
		return object{}
	case s.Type == "array":
		out := object{"type": "array", "items": object{}}
		if s.Items != nil {
			out["items"] = o.schema(s.Items)
		}
		return out
	case s.Type == "object":
		out := object{"type": "object", "additionalProperties": false}
		properties := object{}
		for name, p := range s.Properties {
			properties[name] = o.schema(&p)
		}
		out["properties"] = properties
		if s.Additional != nil {
			out["additionalProperties"] = o.schema(s.Additional)
		}
		return out
	case s.Type == "string" && (s.Format == "int64" || s.Format == "uint64"):
		return object{"type": "string", "pattern": "^-?[0-9]+$"}
	case s.Type == "string" && s.Format == "date-time":
		return object{"type": "string", "format": "date-time"}
	}
	return object{"type": s.Type}
}
