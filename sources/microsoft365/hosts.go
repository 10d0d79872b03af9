package microsoft365

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// hosts are where requests go, and whom tokens are for.
type hosts struct {
	login, graph, manage          string // base URLs; manage "": the cloud has no Management Activity API
	graphAudience, manageAudience string
	sharePoint                    string // what the hosts of its sites end with
}

// clouds are the vendor's deployments.
var clouds = map[string]hosts{
	"worldwide": cloud("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://manage.office.com", ".sharepoint.com"),
	"gcc":       cloud("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://manage-gcc.office.com", ".sharepoint.com"),
	"gcc_high":  cloud("https://login.microsoftonline.us", "https://graph.microsoft.us", "https://manage.office365.us", ".sharepoint.us"),
	"dod":       cloud("https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "https://manage.protection.apps.mil", ".sharepoint-mil.us"),
	"china":     cloud("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", "", ".sharepoint.cn"),
}

func cloud(login, graph, manage, sharePoint string) hosts {
	return hosts{login: login, graph: graph, manage: manage, graphAudience: graph, manageAudience: manage, sharePoint: sharePoint}
}

// hosts returns those of the cloud, with what the configuration has instead. A
// token's audience stays the cloud's.
func (c *Config) hosts() hosts {
	h := clouds[c.Cloud]
	h.login, h.graph = cmp.Or(c.LoginBaseURL, h.login), cmp.Or(c.GraphBaseURL, h.graph)
	if h.manage != "" {
		h.manage = cmp.Or(c.ManageBaseURL, h.manage)
	}
	return h
}

// checkBaseURL checks where requests shall go instead. http, and a path below
// which the API is, are for loopback only.
func checkBaseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.RawPath != "" {
		return errors.New("https:// and a host, such as https://graph.microsoft.com")
	}
	loop := loopback(lower(u.Hostname()))
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !loop):
		return errors.New("https (http only to this machine itself)")
	case strings.HasSuffix(u.Path, "/") || strings.Contains(u.Path, "//") || strings.ContainsAny(u.Path, "{}"):
		return errors.New("no slash at the end")
	case u.Path != "" && !loop:
		return errors.New("no path after the host")
	}
	return nil
}

func loopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// isGUID tells whether s is 32 hexadecimal digits in the groups of a GUID.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'A' || c > 'F' && c < 'a' || c > 'f':
			return false
		}
	}
	return true
}

func lower(s string) string { return strings.ToLower(s) }
