package googleworkspace

import (
	"time"

	"weir/internal/sandbox/org"
)

// item is an item of the audit log: of one application, at one time.
type item struct {
	e      *org.Event
	app    string
	n      int // among the items of the event
	events []org.ReportEvent
	at     time.Time // when it can be seen
}

// reports is what the audit log has, by application.
type reports struct{}

func newReports() *reports { return &reports{} }

func (c *call) activities() *failure { return notFound("application") }
