package googleworkspace

import "weir/internal/sandbox/org"

// DriveFacts are what the sheet says about Drive.
type DriveFacts struct{}

func defaultDrive() DriveFacts { return DriveFacts{} }

// DriveFaults is what goes wrong at Drive.
type DriveFaults struct{}

// driveState is what a customer's Drive keeps.
type driveState struct{}

// newDrive makes the state, before the first request.
func (h *Handler) newDrive() {}

// drive answers a request below /drive/v3/ or /upload/drive/v3/. The body has not
// been read, and the state is not held: c.within gives it. c.who tells the subject
// and its scopes; c.need and c.admit check them.
func (h *Handler) drive(*call) *failure { return notFound("drive") }

// drive are files and who may see them.
func (t *truth) drive() {}

// driveItems turns an event of Drive's own kind into items of the audit log; nil:
// the event is told by its Report, or is none of Drive's.
func (h *Handler) driveItems(*org.State, *org.Event) []item { return nil }
