package steps

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"ecluse/steps/proc"
	"ecluse/steps/run"
)

// seenAfter is how long nothing is told of a service that is not ready: most soon are.
// So long it is, too, until something else is told.
const seenAfter = 3 * time.Second

// sightings tell what is seen of a service that is waited for, when it changes.
type sightings struct {
	tell func(text string)
	// since is when something was last told, or the wait began.
	since time.Time
	last  string
}

// see takes note of why a service is not ready. Nil ones do not.
func (o *sightings) see(now time.Time, err error) {
	if o == nil || now.Sub(o.since) < seenAfter {
		return
	}
	if text := glimpse(err); text != o.last {
		o.last, o.since = text, now
		o.tell(text)
	}
}

// glimpse is why a condition does not hold, in few words.
func glimpse(err error) string {
	var address *url.Error
	var dial *net.OpError
	var command *run.Error
	switch {
	case errors.As(err, &address):
		return address.URL + " does not answer yet"
	case errors.As(err, &dial):
		text, _, _ := strings.Cut(err.Error(), ": ")
		return text + " yet"
	case errors.As(err, &command):
		return "not ready yet: " + command.Program + ": " + proc.Exit{Status: command.Status, Signal: command.Signal}.String()
	default:
		return err.Error()
	}
}
