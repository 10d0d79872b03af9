package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	envPrefix    = "WEIR_"
	envSeparator = "__"
)

// environment returns the values of the WEIR_A__B variables. Two underscores
// stand for a dot, and in the names of sinks and instances one may stand for a
// hyphen. file is what they override: they add keys, but no sinks and instances.
func (d *decoder) environment(env []string, file map[string]any) map[string]any {
	variables := map[string]string{}
	for _, e := range env {
		variable, v, _ := strings.Cut(e, "=")
		path, ok := strings.CutPrefix(variable, envPrefix)
		if ok && strings.Contains(path, envSeparator) {
			variables[variable] = v
		}
	}
	out := map[string]any{}
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		path, problem := envPath(strings.TrimPrefix(variable, envPrefix), file)
		if problem == "" {
			problem = d.override(out, path, variable, variables[variable])
		}
		if problem != "" {
			d.errs = append(d.errs, Error{File: d.file, Env: variable, Message: problem})
		}
	}
	return out
}

// envPath splits a variable's name into keys.
func envPath(name string, file map[string]any) (path []string, problem string) {
	if name != strings.ToUpper(name) {
		return nil, "want the name in upper case"
	}
	name = strings.ToLower(name)
	section, rest, _ := strings.Cut(name, envSeparator)
	if section != "sinks" && section != "instances" {
		return strings.Split(name, envSeparator), ""
	}
	entries, _ := file[section].(map[string]any)
	var found []string
	for _, entry := range slices.Sorted(maps.Keys(entries)) {
		norm := strings.ReplaceAll(strings.ToLower(entry), "-", "_")
		if rest == norm || strings.HasPrefix(rest, norm+envSeparator) {
			found = append(found, entry)
			path = append([]string{section, entry}, strings.Split(rest[len(norm):], envSeparator)[1:]...)
		}
	}
	switch len(found) {
	case 0:
		entry, _, _ := strings.Cut(rest, envSeparator)
		problem = fmt.Sprintf("there is no %q in %s: a variable changes only what the file has", entry, section)
		if near := nearest(entry, slices.Sorted(maps.Keys(entries))); near != "" {
			problem += "; did you mean " + near + "?"
		}
	case 1:
	default:
		problem = fmt.Sprintf("may mean %s in %s: rename one of them", oneOf(found), section)
	}
	return path, problem
}

// override enters a variable's value into out, and notes it as the origin of
// its key and of the sections the file lacks.
func (d *decoder) override(out map[string]any, path []string, variable, v string) (problem string) {
	at := ""
	for i, key := range path {
		if key == "" {
			return "want a key between the underscores"
		}
		at = join(at, key)
		last := i == len(path)-1
		o, known := d.at[at]
		switch {
		case last && o.section:
			return fmt.Sprintf("%s is a section, want one of its keys: %s%s<KEY>", at, variable, envSeparator)
		case last && o.env != "":
			return fmt.Sprintf("sets %s, as %s does: remove one of them", at, o.env)
		case !last && known && !o.section && o.env != "":
			return fmt.Sprintf("%s is set by %s: remove one of them", at, o.env)
		case !last && known && !o.section && !o.empty:
			return fmt.Sprintf("%s is no section", at)
		case !last && o.empty:
			d.at[at] = origin{line: o.line, column: o.column, section: true}
		case !last && !known:
			d.at[at] = origin{env: variable, section: true}
		}
		if last {
			d.at[at] = origin{env: variable}
			out[key] = v
			return ""
		}
		inner, ok := out[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			out[key] = inner
		}
		out = inner
	}
	return ""
}
