package steps

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ecluse/steps/settings"
)

func TestMatches(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for text, want := range map[string]struct {
		found  bool
		passed int64
	}{
		"":                     {false, 0},
		"ready":                {true, 0},
		"a\nready\r\n":         {true, 2},
		"a\nb\nnot ready\nrea": {false, 14},
		long + "\nready\n":     {true, 200<<10 + 1},
	} {
		found, passed := matches(regexp.MustCompile("^ready$"), strings.NewReader(text))
		if found != want.found || passed != want.passed {
			t.Errorf("%.20q: %t, %d", text, found, passed)
		}
	}
}

// A pattern is looked for where the service began, in lines that may come in
// pieces, and in a log that was cut.
func TestSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(text string) {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		ok(t, err)
		_, err = file.WriteString(text)
		ok(t, err)
		ok(t, file.Close())
	}
	write("ready\n")
	holds := says("^ready$", ServiceFact{Log: path, Offset: 6})
	for _, text := range []string{"", "waiting\n", "not ready\nrea"} {
		write(text)
		if holds(t.Context()) == nil {
			t.Errorf("ready after %q", text)
		}
	}
	write("dy\n")
	ok(t, holds(t.Context()))
	ok(t, os.Truncate(path, 0))
	write("ready\n")
	ok(t, holds(t.Context()))
}

func TestHTTPStatuses(t *testing.T) {
	r := newRig(t, nil)
	s := service{Target: &Target{Handle: r, Config: r.cfg}, spec: settings.Service{Name: "app"}}
	for status, want := range map[int]bool{200: true, 204: true, 302: true, 401: false, 404: false, 500: false, 503: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/nowhere")
			w.WriteHeader(status)
		}))
		err := s.answersHTTP("${URL}/", ServiceFact{}, map[string]string{"URL": server.URL})(t.Context())
		if (err == nil) != want {
			t.Errorf("%d: %v", status, err)
		}
		server.Close()
	}
}

func TestWhichURLsAreOfAPort(t *testing.T) {
	for address, want := range map[string]bool{
		"http://localhost:3001/x": true, "http://127.0.0.1:3001": true, "http://[::1]:3001": true, "http://127.1.2.3:3001": true,
		"http://0.0.0.0:3001": true, "http://localhost:3002": false, "http://example.org:3001": false, "http://localhost": false,
	} {
		u, err := url.Parse(address)
		ok(t, err)
		if got := isPortOf(u, 3001); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}

// What is said of a service that is not ready in time is what was seen of it, and not
// that there was no time left to look once more.
func TestTheLastWholeLookCounts(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("out of time")
	looks := 0
	p := probe{func(ctx context.Context) error {
		if looks++; looks == 1 {
			return errTaken
		}
		cancel(over)
		return ctx.Err()
	}}
	if err := p.await(ctx, nil, nil); !errors.Is(err, errTaken) || !errors.Is(err, over) || looks != 2 {
		t.Errorf("after %d looks: %v", looks, err)
	}
}

// lapsed is a context whose deadline is over, and that has not ended yet.
type lapsed struct{ context.Context }

func (lapsed) Deadline() (time.Time, bool) { return time.Now(), true }

// A look that begins at the deadline fails of it, be it a moment before the context ends.
func TestALookAtTheDeadlineDoesNotCount(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looks := 0
	p := probe{func(context.Context) error {
		switch looks++; looks {
		case 1:
			return errTaken
		case 3:
			cancel()
		}
		return os.ErrDeadlineExceeded
	}}
	if err := p.await(lapsed{ctx}, nil, nil); !errors.Is(err, errTaken) || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
}
