package googleworkspace

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// hosts are where requests go, base URLs.
type hosts struct {
	admin, drive, accounts, iam, alerts string
	token                               string // "": what the key says
}

// hosts returns Google's, with what the configuration has instead.
func (c *Config) hosts() hosts {
	return hosts{
		admin:    cmp.Or(c.AdminBaseURL, c.BaseURL, "https://admin.googleapis.com"),
		drive:    cmp.Or(c.DriveBaseURL, c.BaseURL, "https://www.googleapis.com"),
		alerts:   cmp.Or(c.AlertsBaseURL, c.BaseURL, "https://alertcenter.googleapis.com"),
		accounts: cmp.Or(c.AccountsBaseURL, c.BaseURL, "https://accounts.google.com"),
		iam:      cmp.Or(c.IAMCredentialsBaseURL, c.BaseURL, "https://iamcredentials.googleapis.com"),
		token:    cmp.Or(c.TokenBaseURL, c.BaseURL),
	}
}

// tokenURL is where tokens are had, and the audience of assertions; "": what
// the key says.
func (h hosts) tokenURL() string {
	if h.token == "" {
		return ""
	}
	return h.token + "/token"
}

var (
	validCustomer = regexp.MustCompile(`\AC[A-Za-z0-9]{2,31}\z`)
	validDomain   = regexp.MustCompile(`\A[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\z`)
	validEmail    = regexp.MustCompile(`\A[^\s@]+@[A-Za-z0-9.-]+\z`)
)

// checkBaseURL checks where requests shall go instead. http, and a path below
// which the API is, are for loopback only.
func checkBaseURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || u.RawPath != "" {
		return errors.New("https:// and a host, such as https://admin.googleapis.com")
	}
	loop := loopback(strings.ToLower(u.Hostname()))
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
