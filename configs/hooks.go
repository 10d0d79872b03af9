package configs

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"weir/internal/setting"
)

// Hooks is the `hooks:` section: where vendors tell of changes.
type Hooks struct {
	Listen    string `key:"listen" example:"127.0.0.1:8481" doc:"address that notifications are received at; empty: none. Other than on the loopback interface, with cert and key only"`
	PublicURL string `key:"public_url" example:"https://weir.acme.example/hooks" doc:"where vendors reach it: its path is put before that of each instance"`
	Cert      string `key:"cert" example:"/etc/weir/hooks.crt" doc:"PEM file of the certificate, and of those that signed it; read anew when it changes. Without it, something in front has to end TLS"`
	Key       string `key:"key" example:"/etc/weir/hooks.key" doc:"PEM file of the certificate's private key"`
}

// Validate implements setting.Struct.
func (h *Hooks) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if h.Listen != "" {
		host, port, err := net.SplitHostPort(h.Listen)
		_, perr := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil || perr != nil:
			bad("listen", h.Listen, "an address and port such as 127.0.0.1:8481")
		case h.Cert == "" && !loopback(host):
			bad("listen", h.Listen, "an address of the loopback interface, or cert and key with it: notifications carry secrets")
		}
		if h.PublicURL == "" {
			bad("public_url", "", "the address by which vendors reach hooks.listen")
		}
	}
	if h.PublicURL != "" {
		u, err := url.Parse(h.PublicURL)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
			bad("public_url", h.PublicURL, "https://HOST/PATH; http:// of the loopback interface only")
		}
	}
	if (h.Cert == "") != (h.Key == "") {
		bad("cert", h.Cert, "cert and key, or neither")
	}
	for key, file := range map[string]string{"cert": h.Cert, "key": h.Key} {
		if file != "" && !filepath.IsAbs(file) {
			bad(key, file, "an absolute path")
		}
	}
	return errs
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// hooks reads the section, and sees that instances with a hook can have one.
func (d *decoder) hooks(h *Hooks, top map[string]any, instances []Instance) {
	const at = "hooks"
	if m, ok := d.section(at, top[at]); ok {
		d.structure(at, m, reflect.ValueOf(h).Elem())
		d.validate(at, h)
	}
	for _, inst := range instances {
		key := join(join("instances", inst.Name), "hooks")
		switch {
		case !inst.Hooks:
		case inst.Connector.Notifies == "":
			d.reject(key, "true", "false: "+inst.Connector.Title+" tells no hook of changes")
		case h.Listen == "":
			d.reject(key, "true", "hooks.listen and hooks.public_url with it")
		}
	}
}

// HookURL is the address of a hook: token is the last part of its path.
func (h *Hooks) HookURL(token string) string {
	return strings.TrimRight(h.PublicURL, "/") + "/" + token
}
