package sources

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Listener is a Session whose vendor tells of changes by requests to a hook, an
// address of this agent's. What it tells is not believed, and nothing of it is
// collected: it has lanes read before they are due. Polling stays the truth.
//
// A connector whose sessions are Listeners says so in Connector.Notifies.
type Listener interface {
	Session
	// Subscribe sees that the vendor tells a hook of changes: it makes what is
	// missing and renews what ends soon. It is called at the start, at the time it
	// returns, and when a Reaction names something to renew. Some vendors try the
	// hook before they answer. Its errors stop no stream.
	Subscribe(ctx context.Context, h Hook) (again time.Time, err error)
	// Notified judges a request to the hook. It makes no request and is quick: the
	// vendor waits.
	Notified(h Hook, r *Notification) Reaction
}

// Hook is where an instance's vendor sends notifications.
type Hook struct {
	URL    string // public, and not to be guessed; without query
	Secret string // for the vendor to send back or to sign with: 64 characters, the instance's own
	// Lanes are those that a stream's last listings showed.
	Lanes func(ctx context.Context, stream string) iter.Seq2[Lane, error]
	// Renew is, for Subscribe, what reactions have named since it last succeeded.
	Renew []string
}

// MaxNotification bounds the body of a notification, in bytes.
const MaxNotification = 1 << 20

// Notification is a request to a hook, GET or POST. All of it may be forged.
type Notification struct {
	Method string
	Query  url.Values
	Header http.Header
	Body   []byte // at most MaxNotification
}

// Reaction is what follows from a notification.
type Reaction struct {
	// Status of the answer: 2xx when the notification is the vendor's; any other
	// wakes nothing.
	Status int
	Type   string // of Body; "" there is none
	Body   []byte
	Wake   []Waking
	// Renew are ids of subscriptions that the vendor wants renewed, or has ended:
	// Subscribe is called soon, and gets them.
	Renew []string
}

// Waking names what is to be read now.
type Waking struct{ Stream, Lane string }
