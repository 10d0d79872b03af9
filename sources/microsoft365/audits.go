package microsoft365

import (
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
)

// DirectoryAudits is about Entra's audit log.
type DirectoryAudits struct {
	Since     time.Duration `key:"since" doc:"how far back the first collection goes"`
	Lateness  time.Duration `key:"lateness" doc:"how late after it happened an event may appear and still be collected: every hour as much of the log is read again"`
	Retention time.Duration `key:"retention" doc:"how long the tenant keeps the log: 30 days with Entra ID P1 or P2, 7 without"`
}

const (
	logRetention   = 30 * day
	usualLateness  = 2 * time.Hour // no bound is stated; minutes are usual
	pathAudits     = "/v1.0/auditLogs/directoryAudits"
	auditsPerPage  = "999"
	permissionLogs = "AuditLog.Read.All"
)

// adjust implements sources.Connector.Adjust.
func adjust(c setting.Struct, info sources.StreamInfo) sources.StreamInfo {
	cfg, ok := c.(*Config)
	switch {
	case ok && info.Name == streamAudits:
		return lateLog(info, cfg.DirectoryAudits.Lateness, cfg.DirectoryAudits.Retention)
	case ok && info.Name == streamSignIns:
		return lateLog(info, cfg.SignIns.Lateness, logRetention)
	}
	return info
}

// validate returns what is wrong with the settings.
func (c *DirectoryAudits) validate() (errs []setting.KeyError) {
	errs = append(badSince("directory_audits.since", c.Since), badLateness("directory_audits.lateness", c.Lateness)...)
	if c.Retention < day || c.Retention > logRetention {
		errs = append(errs, setting.KeyError{Key: "directory_audits.retention", Found: setting.FormatDuration(c.Retention), Accepted: "1d to 30d"})
	}
	return errs
}

func badSince(key string, since time.Duration) []setting.KeyError {
	if since > 0 {
		return nil
	}
	return []setting.KeyError{{Key: key, Found: setting.FormatDuration(since), Accepted: "a time back from now, such as 30d"}}
}

func badLateness(key string, lateness time.Duration) []setting.KeyError {
	if lateness >= minLateness && lateness <= maxLateness {
		return nil
	}
	return []setting.KeyError{{Key: key, Found: setting.FormatDuration(lateness), Accepted: setting.FormatDuration(minLateness) + " to " + setting.FormatDuration(maxLateness)}}
}

func defaultAudits() DirectoryAudits {
	return DirectoryAudits{Since: logRetention, Lateness: usualLateness, Retention: logRetention}
}

func (s *session) directoryAuditsStream() sources.Stream {
	c := &s.cfg.DirectoryAudits
	l := &entraLog{
		info: lateLog(infoAudits, c.Lateness, c.Retention), path: pathAudits, at: "activityDateTime", top: auditsPerPage,
		since: min(c.Since, c.Retention), lateness: c.Lateness, record: (*entraMapper).audit, explain: explainLog,
	}
	return sources.Stream{Info: l.info, Read: s.readEntra(l), Past: entraPast}
}

// explainLog names the permission that a refused log needs.
func explainLog(err error) error {
	if fault.Of(err) == fault.Forbidden {
		return fault.New(fault.Forbidden, "%w (%s)", err, permissionLogs)
	}
	return err
}
