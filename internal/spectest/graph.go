package spectest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// What Microsoft publishes of Graph as packages, by file below the cache: the
// entities' types, and of its Go SDK the lines with paths, parameters and types.
const (
	graphTypes      = "microsoft-graph-types-2.43.1/microsoft-graph.d.ts"
	graphOperations = "msgraph-sdk-go-v1.89.0/operations.txt"
)

// LoadGraph makes a specification of Microsoft Graph, version 1.0, from its
// types and its SDK. A base type has the properties of those derived from it too:
// which one a record is, its @odata.type would tell, which is often left out.
func LoadGraph(t testing.TB, known []Known) *Spec {
	t.Helper()
	types := parseTypes(read(t, graphTypes))
	require.Greater(t, len(types.fields["User"]), 50)
	doc := &openapi3.T{OpenAPI: "3.0.3", Info: &openapi3.Info{Title: "Microsoft Graph", Version: "v1.0"}, Paths: openapi3.NewPaths()}
	require.NoError(t, types.operations(read(t, graphOperations), doc.Paths))
	require.Greater(t, doc.Paths.Len(), 1000)
	return newSpec(t, doc, known)
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(cached(t, file))
	require.NoError(t, err)
	return b
}

// graph is what the types say.
type graph struct {
	schemas map[string]*openapi3.SchemaRef
	fields  map[string]map[string]string // of interfaces: types by name
	bases   map[string]string
	derived map[string][]string
	enums   map[string][]any
}

var (
	interfaceLine = regexp.MustCompile(`^export interface (\w+)(?: extends (\w+))? \{(\})?$`)
	fieldLine     = regexp.MustCompile(`^    "?([\w.@$]+)"?\??: (.+);$`)
	enumLine      = regexp.MustCompile(`^export type (\w+) =(.*)$`)
	enumValue     = regexp.MustCompile(`"([^"]*)"`)
)

func parseTypes(text []byte) *graph {
	g := &graph{schemas: map[string]*openapi3.SchemaRef{}, fields: map[string]map[string]string{}, bases: map[string]string{}, derived: map[string][]string{}, enums: map[string][]any{}}
	var within, enum string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if m := interfaceLine.FindStringSubmatch(line); m != nil {
			g.fields[m[1]] = map[string]string{}
			if m[2] != "" {
				g.bases[m[1]] = m[2]
				g.derived[m[2]] = append(g.derived[m[2]], m[1])
			}
			if within = m[1]; m[3] != "" {
				within = ""
			}
			continue
		}
		if m := enumLine.FindStringSubmatch(line); m != nil {
			enum, line = m[1], m[2]
		}
		if enum != "" {
			for _, m := range enumValue.FindAllStringSubmatch(line, -1) {
				g.enums[enum] = append(g.enums[enum], m[1])
			}
			if strings.HasSuffix(line, ";") {
				enum = ""
			}
			continue
		}
		if line == "}" {
			within = ""
		}
		if m := fieldLine.FindStringSubmatch(line); m != nil && within != "" {
			g.fields[within][m[1]] = m[2]
		}
	}
	return g
}

// annotations are members that any object may have.
var annotations = []string{
	"@odata.context", "@odata.count", "@odata.deltaLink", "@odata.editLink", "@odata.etag", "@odata.id", "@odata.nextLink", "@odata.type", "@removed",
	"@microsoft.graph.downloadUrl", "@microsoft.graph.conflictBehavior", "members@delta", "owners@delta", "manager@delta", "members@odata.bind", "owners@odata.bind",
}

// schema is that of an interface.
func (g *graph) schema(name string) *openapi3.SchemaRef {
	if s := g.schemas[name]; s != nil {
		return s
	}
	if _, ok := g.fields[name]; !ok || name == "Entity" { // from which everything is derived
		return anything()
	}
	s := openapi3.NewObjectSchema().WithoutAdditionalProperties().WithNullable() // wherever it is, for one schema to do
	s.Properties = openapi3.Schemas{}
	ref := openapi3.NewSchemaRef("#/components/schemas/"+name, s) // by name, so that errors print it in short
	g.schemas[name] = ref                                         // before its fields: types refer to themselves
	for _, a := range annotations {
		s.Properties[a] = anything()
	}
	for n := name; n != ""; n = g.bases[n] {
		g.add(s, n)
	}
	g.addDerived(s, name)
	return ref
}

func (g *graph) add(s *openapi3.Schema, name string) {
	for field, t := range g.fields[name] {
		typ := g.typeOf(t)
		if other := s.Properties[field]; other != nil && other != typ && (other.Value.Title != typ.Value.Title || typ.Value.Title == "") {
			typ = anything() // two derived types have it, as different things
		}
		s.Properties[field] = typ
	}
}

func (g *graph) addDerived(s *openapi3.Schema, name string) {
	for _, d := range g.derived[name] {
		g.add(s, d)
		g.addDerived(s, d)
	}
}

// typeOf is the schema of a field's type; its title is the type, to compare.
func (g *graph) typeOf(t string) *openapi3.SchemaRef {
	inner, nullable := strings.CutPrefix(t, "NullableOption<")
	if nullable {
		inner = strings.TrimSuffix(inner, ">")
	}
	var s *openapi3.Schema
	switch element, list := strings.CutSuffix(inner, "[]"); {
	case list:
		s = openapi3.NewArraySchema()
		s.Items = g.typeOf(strings.Trim(element, "()"))
	case inner == "string":
		s = openapi3.NewStringSchema()
	case inner == "number":
		s = openapi3.NewFloat64Schema()
	case inner == "boolean":
		s = openapi3.NewBoolSchema()
	case g.enums[inner] != nil:
		s = openapi3.NewStringSchema() // open: members are added to them
	case g.fields[inner] != nil && inner != "Entity":
		return g.schema(inner)
	default:
		return anything()
	}
	s.Title, s.Nullable = t, nullable
	return s.NewRef()
}

func anything() *openapi3.SchemaRef {
	return (&openapi3.Schema{Nullable: true}).NewRef()
}

var (
	operationLine = regexp.MustCompile(`^([^:]+):.*"\{\+baseurl\}([^"]*)"`)
	methodLine    = regexp.MustCompile(`^([^:]+):func \(m \*\w+\) (Get|Post|Patch|Put|Delete)\((.*)$`)
	bodyType      = regexp.MustCompile(`body (?:\w+\.)?(\w+?)able,`)
	answerType    = regexp.MustCompile(`\)\((?:\w+\.)?(\w+?)able, error\)`)
	queryName     = regexp.MustCompile(`[@%\w.]+`)
	pathParameter = regexp.MustCompile(`\{([^{}]+)\}`)
)

// operations reads the SDK's lines into paths.
func (g *graph) operations(text []byte, paths *openapi3.Paths) error {
	items := map[string]*openapi3.PathItem{} // by the SDK's file
	at := map[string]string{}                // and their paths
	scan := bufio.NewScanner(bytes.NewReader(text))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line := scan.Text()
		if m := operationLine.FindStringSubmatch(line); m != nil {
			p, query, _ := strings.Cut(m[2], "?")
			p = strings.TrimSuffix(p, "{")
			if strings.Contains(p, "='") || strings.Contains(p, ":") {
				continue // functions with arguments, and alternate keys: not used
			}
			p = pathParameter.ReplaceAllStringFunc(strings.ReplaceAll(p, "()", ""), func(s string) string {
				return strings.NewReplacer("%2D", "_", "%2d", "_", "-", "_").Replace(s)
			})
			item := &openapi3.PathItem{}
			for _, m := range pathParameter.FindAllStringSubmatch(p, -1) {
				item.Parameters = append(item.Parameters, &openapi3.ParameterRef{Value: openapi3.NewPathParameter(m[1]).WithSchema(openapi3.NewStringSchema())})
			}
			for _, name := range queryName.FindAllString(query+",%24skiptoken,%24deltatoken", -1) { // these are in links
				if name, err := url.PathUnescape(name); err == nil {
					item.Parameters = append(item.Parameters, &openapi3.ParameterRef{Value: openapi3.NewQueryParameter(name).WithSchema(openapi3.NewStringSchema())})
				}
			}
			items[m[1]], at[m[1]] = item, p
			paths.Set(p, item)
			continue
		}
		m := methodLine.FindStringSubmatch(line)
		if m == nil || items[m[1]] == nil {
			continue
		}
		o := &openapi3.Operation{Responses: openapi3.NewResponses()}
		o.Responses.Delete("default")
		if b := bodyType.FindStringSubmatch(m[3]); b != nil {
			o.RequestBody = &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithJSONSchemaRef(g.schema(b[1]))}
		}
		ok := openapi3.NewResponse().WithDescription("done")
		if a := answerType.FindStringSubmatch(m[3]); a != nil {
			name := a[1]
			if dir, last := path.Split(at[m[1]]); last == "delta" {
				name = deltaOf[path.Base(dir)] + "CollectionResponse"
			}
			ok = ok.WithJSONSchemaRef(g.answer(name))
		}
		for _, status := range []string{"200", "201"} {
			o.Responses.Set(status, &openapi3.ResponseRef{Value: ok})
		}
		for _, status := range []string{"202", "204"} { // which any write may be answered with
			o.Responses.Set(status, &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("nothing to show")})
		}
		o.Responses.Set("default", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("refused")})
		items[m[1]].SetOperation(strings.ToUpper(m[2]), o)
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("the SDK's operations: %w", err)
	}
	return nil
}

// deltaOf are the entities of delta functions, whose answers the SDK names alike.
var deltaOf = map[string]string{"users": "User", "groups": "Group", "servicePrincipals": "ServicePrincipal", "applications": "Application", "{driveItem_id}": "DriveItem"}

// answer is an entity's schema, or that of a page of them.
func (g *graph) answer(name string) *openapi3.SchemaRef {
	of, page := strings.CutSuffix(name, "CollectionResponse")
	if !page {
		return g.schema(name)
	}
	list := openapi3.NewArraySchema()
	list.Items = g.schema(of)
	s := openapi3.NewObjectSchema().WithoutAdditionalProperties().WithPropertyRef("value", list.NewRef()).WithRequired([]string{"value"})
	for _, a := range annotations {
		s.Properties[a] = anything()
	}
	return s.NewRef()
}

var (
	byPath = regexp.MustCompile(`(/items/[^/:]+):/[^:]*:?`)
	ofRoot = regexp.MustCompile(`/root\b/`)
)

// asTheSDK is a path as the SDK would have it: a drive's root item and one below
// another are known to it by their ids alone, and types by a short name.
func asTheSDK(p string) string {
	p = ofRoot.ReplaceAllString(p, "/items/root/")
	p = byPath.ReplaceAllString(p, "$1")
	return strings.Replace(p, "/microsoft.graph.", "/graph.", 1)
}

// WrapGraph is Wrap for Graph: the requests within a batch are held against it
// too, and not what is asked of the beta version.
func (s *Spec) WrapGraph(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.exchange(w, r, next, func(body []byte, rec *httptest.ResponseRecorder) {
			p, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix+"/v1.0")
			p = asTheSDK(p)
			switch {
			case !ok:
			case p == "/$batch":
				s.checkBatch(r, body, rec)
			default:
				s.check(p, r, body, rec, true)
			}
		})
	})
}

func (s *Spec) checkBatch(r *http.Request, body []byte, rec *httptest.ResponseRecorder) {
	var asked struct {
		Requests []struct{ ID, Method, URL string }
	}
	var got struct {
		Responses []struct {
			ID     string
			Status int
			Body   json.RawMessage
		}
	}
	if json.Unmarshal(body, &asked) != nil || rec.Code == http.StatusOK && json.Unmarshal(rec.Body.Bytes(), &got) != nil {
		s.deviates(Deviation{"POST /$batch", "request", "no batch"})
		return
	}
	for _, a := range got.Responses {
		for _, q := range asked.Requests {
			u, err := url.Parse(q.URL)
			if q.ID != a.ID || err != nil {
				continue
			}
			like := r.Clone(r.Context())
			like.Method, like.URL = q.Method, u
			one := httptest.NewRecorder()
			one.Header().Set("Content-Type", "application/json")
			one.WriteHeader(a.Status)
			_, _ = one.Write(a.Body)
			s.check(asTheSDK(u.EscapedPath()), like, nil, one, true)
		}
	}
}
