package sandbox

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"weir/internal/sandbox/org"
	"weir/internal/setting"
)

// Scenario is what goes wrong, and when.
type Scenario struct {
	Name   string
	Doc    string
	Log    org.Log // how the vendors' logs show events
	Faults []Fault
}

// Fault is something that happens to requests. What is zero does not restrict.
type Fault struct {
	Kind     Kind
	App      string
	Tenant   string        // name, or pattern of path.Match
	Method   string        //
	Endpoint string        // pattern of path.Match of the path below the tenant; ** at its end is all that follows
	From     time.Duration // of virtual time since the start
	Until    time.Duration // 0: for ever
	After    int64         // so many requests that fit are left alone, of each tenant
	Share    float64       // of the requests that fit; 0: all
	Count    int64         // at most so often, for each tenant; 0: no limit
	Status   int           // StatusFault, Storm: of the answer
	For      time.Duration // Storm, Slow, Lag: how long
	Length   string        // Truncate: right (a broken body that looks whole) or wrong (the connection ends early)
	Scopes   []string      // MissingScope: as the vendor writes them
}

// Kind is what a fault does.
type Kind string

// Kinds of faults.
const (
	StatusFault  Kind = "status"        // an error status
	Storm        Kind = "storm"         // an error status to everything that fits, for a while
	Drop         Kind = "drop"          // the connection is reset
	Lost         Kind = "lost"          // the request is carried out, and the connection is reset instead of the answer
	Truncate     Kind = "truncate"      // the body is cut
	HTML         Kind = "html"          // 200 with a login page
	Slow         Kind = "slow"          // the answer takes long, in real time
	Lag          Kind = "lag"           // what the request changes is seen later, where the vendor is eventually consistent
	ExpireToken  Kind = "expire_token"  // the token expires
	ExpireCursor Kind = "expire_cursor" // the cursor of a listing or a log expires
	MissingScope Kind = "missing_scope" // scopes are taken away
)

var kinds = []Kind{StatusFault, Storm, Drop, Lost, Truncate, HTML, Slow, Lag, ExpireToken, ExpireCursor, MissingScope}

//go:embed scenarios
var builtin embed.FS

// Builtin returns the names of the scenarios that come along.
func Builtin() []string {
	entries, err := fs.ReadDir(builtin, "scenarios")
	if err != nil {
		panic(err) // it is embedded above
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// LoadScenario returns a scenario that comes along, by name, or reads a file.
func LoadScenario(name string) (*Scenario, error) {
	if data, err := builtin.ReadFile("scenarios/" + name + ".yaml"); err == nil {
		return ParseScenario(name, data)
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario %s: no such file, and no scenario that comes along: those are %s", name, strings.Join(Builtin(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return ParseScenario(name, data)
}

// Check returns an error if a fault names an app that is not among the vendors.
func (s *Scenario) Check(vendors []Vendor) error {
	for i, f := range s.Faults {
		if f.App != "" && !slices.ContainsFunc(vendors, func(v Vendor) bool { return v.App == f.App }) {
			return fmt.Errorf("%s: faults[%d].app: there is no app %.40q in the sandbox", s.Name, i, f.App)
		}
	}
	return nil
}

// scenarioFile and faultFile are the format of a file.
type scenarioFile struct {
	Doc string `yaml:"doc"`
	Log struct {
		Late       float64 `yaml:"late"`
		LateMax    string  `yaml:"late_max"`
		LateEvenly bool    `yaml:"late_evenly"`
		OutOfOrder float64 `yaml:"out_of_order"`
		Duplicates float64 `yaml:"duplicates"`
		Equal      float64 `yaml:"equal"`
	} `yaml:"log"`
	Faults []faultFile `yaml:"faults"`
}

type faultFile struct {
	Kind     string   `yaml:"kind"`
	App      string   `yaml:"app"`
	Tenant   string   `yaml:"tenant"`
	Method   string   `yaml:"method"`
	Endpoint string   `yaml:"endpoint"`
	From     string   `yaml:"from"`
	Until    string   `yaml:"until"`
	After    int64    `yaml:"after_requests"`
	Share    *float64 `yaml:"share"`
	Count    int64    `yaml:"count"`
	Status   int      `yaml:"status"`
	For      string   `yaml:"for"`
	Length   string   `yaml:"length"`
	Scopes   []string `yaml:"scopes"`
}

const maxScenario = 1 << 20

// ParseScenario reads a scenario. Errors name the line.
func ParseScenario(name string, data []byte) (s *Scenario, err error) {
	defer func() {
		if v := recover(); v != nil { // the parser panics on some malformed input
			s, err = nil, fmt.Errorf("scenario %s: this is no YAML that can be read", name)
		}
	}()
	if len(data) > maxScenario {
		return nil, fmt.Errorf("scenario %s: larger than 1 MiB", name)
	}
	if slices.ContainsFunc(strings.Split(string(data), "\n"), func(l string) bool { return len(l) > 10_000 }) {
		return nil, fmt.Errorf("scenario %s: a line is longer than 10,000 bytes", name)
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	r := scenarioReader{name: name, tree: tree}
	if len(tree.Docs) > 1 {
		return nil, fmt.Errorf("scenario %s: holds several documents, want one", name)
	}
	if ast.Filter(ast.AliasType, docBody(tree)) != nil {
		return nil, fmt.Errorf("scenario %s: aliases are not supported", name)
	}
	var f scenarioFile
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, yamlError(name, err)
	}
	s = &Scenario{Name: name, Doc: f.Doc}
	s.Log = org.Log{
		Late: r.share("$.log.late", f.Log.Late), LateMax: r.duration("$.log.late_max", f.Log.LateMax), LateEvenly: f.Log.LateEvenly, OutOfOrder: r.share("$.log.out_of_order", f.Log.OutOfOrder),
		Duplicates: r.share("$.log.duplicates", f.Log.Duplicates), Equal: r.share("$.log.equal", f.Log.Equal),
	}
	if s.Log.Equal > 0.99 {
		r.fail("$.log.equal", "want at most 0.99: time would stand still")
	}
	if s.Log.Late+s.Log.OutOfOrder > 1 {
		r.fail("$.log", "late and out_of_order are more than 1 together")
	}
	for i := range f.Faults {
		s.Faults = append(s.Faults, r.fault(fmt.Sprintf("$.faults[%d]", i), &f.Faults[i]))
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return s, nil
}

func docBody(tree *ast.File) ast.Node {
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return ast.Null(nil)
	}
	return tree.Docs[0].Body
}

func yamlError(name string, err error) error {
	if y, ok := errors.AsType[yaml.Error](err); ok && y.GetToken() != nil && y.GetToken().Position != nil {
		return fmt.Errorf("%s:%d: %s", name, y.GetToken().Position.Line, y.GetMessage())
	}
	return fmt.Errorf("scenario %s: %w", name, err)
}

// scenarioReader checks what was decoded, and gathers every fault.
type scenarioReader struct {
	name string
	tree *ast.File
	errs []error
}

// fail notes an error at the value with a path; where there is no such value,
// at what holds it.
func (r *scenarioReader) fail(at, format string, args ...any) {
	line := 0
	for p := at; line == 0 && strings.ContainsAny(p, ".["); p = p[:strings.LastIndexAny(p, ".[")] {
		if y, err := yaml.PathString(p); err == nil {
			if n, err := y.FilterFile(r.tree); err == nil && n != nil && n.GetToken() != nil {
				line = n.GetToken().Position.Line
			}
		}
	}
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s: %s", r.name, line, strings.TrimPrefix(at, "$."), fmt.Sprintf(format, args...)))
}

func (r *scenarioReader) share(at string, v float64) float64 {
	if !(v >= 0 && v <= 1) {
		r.fail(at, "want a share from 0 to 1")
	}
	return v
}

func (r *scenarioReader) duration(at, v string) time.Duration {
	if v == "" {
		return 0
	}
	d, err := setting.ParseDuration(v)
	if err != nil {
		r.fail(at, "%v", err)
	}
	return d
}

func (r *scenarioReader) fault(at string, f *faultFile) Fault {
	out := Fault{
		Kind: Kind(f.Kind), App: f.App, Tenant: f.Tenant, Method: f.Method, Endpoint: f.Endpoint, From: r.duration(at+".from", f.From),
		Until: r.duration(at+".until", f.Until), After: f.After, Share: 1, Count: f.Count, Status: f.Status, For: r.duration(at+".for", f.For), Length: f.Length, Scopes: f.Scopes,
	}
	if f.Share != nil {
		out.Share = r.share(at+".share", *f.Share)
		if out.Share == 0 {
			r.fail(at+".share", "0 never happens: want more")
		}
	}
	if !slices.Contains(kinds, out.Kind) {
		r.fail(at+".kind", "found %.40q, want one of %s", f.Kind, strings.Trim(fmt.Sprint(kinds), "[]"))
		return out
	}
	for _, p := range []struct{ key, pattern string }{{"tenant", f.Tenant}, {"endpoint", strings.TrimSuffix(f.Endpoint, "**")}} {
		if _, err := path.Match(p.pattern, ""); err != nil {
			r.fail(at+"."+p.key, "no pattern: %v", err)
		}
	}
	if f.Endpoint != "" && !strings.HasPrefix(f.Endpoint, "/") && !strings.HasPrefix(f.Endpoint, "*") {
		r.fail(at+".endpoint", "want a path, as /api/v1/users, or a pattern")
	}
	if f.Method != "" && !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, f.Method) {
		r.fail(at+".method", "want GET, HEAD, POST, PUT, PATCH or DELETE")
	}
	if out.Until > 0 && out.Until <= out.From {
		r.fail(at+".until", "is not later than from")
	}
	if f.After < 0 || f.Count < 0 {
		r.fail(at, "after_requests and count cannot be less than 0")
	}
	r.fits(at, &out, f)
	return out
}

// fits checks the keys that belong to some kinds only, and fills in their
// defaults.
func (r *scenarioReader) fits(at string, out *Fault, f *faultFile) {
	only := func(key string, set bool, kinds ...Kind) {
		if set && !slices.Contains(kinds, out.Kind) {
			r.fail(at+"."+key, "does not belong to %s", out.Kind)
		}
	}
	only("status", f.Status != 0, StatusFault, Storm)
	only("for", f.For != "", Storm, Slow, Lag)
	only("length", f.Length != "", Truncate)
	only("scopes", f.Scopes != nil, MissingScope)
	switch out.Kind {
	case StatusFault, Storm:
		if out.Status == 0 {
			out.Status = http.StatusTooManyRequests
		}
		if out.Status < 400 || out.Status > 599 {
			r.fail(at+".status", "want a status from 400 to 599")
		}
		if out.Kind == Storm && out.For == 0 {
			out.For = 30 * time.Second
		}
	case Slow:
		if out.For == 0 {
			out.For = 2 * time.Second
		}
	case Lag:
		if out.For == 0 {
			out.For = 30 * time.Second
		}
	case Truncate:
		if out.Length == "" {
			out.Length = "wrong"
		}
		if out.Length != "wrong" && out.Length != "right" {
			r.fail(at+".length", "want right or wrong")
		}
	case MissingScope:
		if len(out.Scopes) == 0 {
			r.fail(at, "want scopes")
		}
	default:
	}
}
