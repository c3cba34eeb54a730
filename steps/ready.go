package steps

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/steps/dotenv"
	"ecluse/steps/proc"
	"ecluse/steps/run"
	"ecluse/steps/settings"
)

const (
	// readyTimeout is how long a service may take to get ready that does not
	// say.
	readyTimeout = time.Minute
	// verifyPatience is how long a service that is up may take to answer: a
	// busy moment must not have it restarted.
	verifyPatience = 5 * time.Second
	// probeInterval is the pause between two looks, probeTimeout bounds one.
	probeInterval = 50 * time.Millisecond
	probeTimeout  = 2 * time.Second
	// steady is how long a service must have run that has no port and says nothing of
	// when it is up: a command that fails does so at once.
	steady = 700 * time.Millisecond
	// takenInterval is the pause when a stranger answers: to prove that takes a
	// look at every process.
	takenInterval = 500 * time.Millisecond
)

// errTaken is wrapped by the error of a condition that somebody else fulfils.
var errTaken = errors.New("it is not of this service")

// condition is one thing that must hold for a service to be ready: nil, or why
// not yet.
type condition func(ctx context.Context) error

// probe is everything that must hold for a service to be ready.
type probe []condition

// probe collects the conditions of the service; without any it is its port that
// must answer, and without a port it must have run for a moment.
func (s service) probe(fact ServiceFact, vars map[string]string) probe {
	var p probe
	ready, number := s.spec.Ready, s.Session().Ports[s.spec.Name]
	if ready.HTTP != "" {
		p = append(p, s.answersHTTP(ready.HTTP, fact, vars))
	}
	if ready.Log != "" && !fact.Adopted { // what it says is the user's
		p = append(p, says(ready.Log, fact))
	}
	if ready.Command != "" {
		command := run.Shell(s.Session().Worktree, ready.Command, list(vars)...)
		p = append(p, func(ctx context.Context) error { return command.Run(ctx) })
	}
	switch {
	case ready.TCP || len(p) == 0 && number != 0:
		p = append(p, s.answersTCP(number, fact))
	case len(p) == 0:
		p = append(p, lasts(fact.Age))
	}
	return p
}

// goesOn is what must hold of a service that has just been started, and of which nothing
// else tells that it is up: its command runs only since its identity was saved.
func (s service) goesOn(begun time.Time) probe {
	if waits(s.spec.Ready) || s.Session().Ports[s.spec.Name] != 0 {
		return nil
	}
	lived := lifetime{last: begun}
	return probe{lasts(func() (time.Duration, error) { return lived.to(time.Now(), 2*probeInterval), nil })}
}

// waits reports whether the service says itself when it is up.
func waits(r settings.Ready) bool { return r.HTTP != "" || r.TCP || r.Log != "" || r.Command != "" }

// lasts holds when something is older than a moment.
func lasts(age func() (time.Duration, error)) condition {
	return func(context.Context) error {
		have, err := age()
		if err == nil && have < steady {
			err = fmt.Errorf("it has run for less than %s", steady)
		}
		return err
	}
}

// owns fails if what listens at a port of the service is proven to be somebody
// else: a command that does not take its port is not ready because a stranger
// does. Who listens need not be known: it may be another user's process, or a
// container that the command has started.
func (s service) owns(number int, fact ServiceFact) error {
	if slices.Contains(proc.Listening(proc.Tree(fact.ID)), number) {
		return nil // as mostly, and cheap to see
	}
	listeners := proc.Listener(number)
	strangers, err := proc.Strangers(listeners, s.family(fact), fact.ID, Marks(s.Session(), s.step)...)
	if err != nil || len(strangers) == 0 || len(strangers) < len(listeners) {
		return err
	}
	return fmt.Errorf("port %d is answered by %s, and %w", number, proc.Describe(strangers[0]), errTaken)
}

// await waits until every condition holds, the service exits, or ctx ends. A look that
// the end of ctx has cut off tells nothing of the service: the one before it does. What
// is seen goes to sightings, if they are wanted.
func (p probe) await(ctx context.Context, exited <-chan error, o *sightings) error {
	for _, holds := range p {
		var seen error
		for {
			err := holds(ctx)
			if err == nil {
				break
			}
			if !over(ctx) || seen == nil {
				seen = err
				o.see(time.Now(), err)
			}
			pause := probeInterval
			if errors.Is(err, errTaken) {
				pause = takenInterval
			}
			select {
			case exit := <-exited:
				return exit
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", context.Cause(ctx), seen)
			case <-time.After(pause):
			}
		}
	}
	select {
	case exit := <-exited:
		return exit
	default:
		return nil
	}
}

// over reports whether the time of ctx is up. A look that begins at the deadline fails
// of it, and that may be a moment before ctx itself ends.
func over(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && !time.Now().Before(deadline)
}

// endOf tells how a process that we have started ends.
func endOf(p *proc.Pending) <-chan error {
	ended := make(chan error, 1)
	go func() {
		<-p.Done()
		ended <- fmt.Errorf("it has exited (%s)", p.Exit())
	}()
	return ended
}

// exitOf tells of the end of a process that need not be our child.
func exitOf(ctx context.Context, id proc.ID) <-chan error {
	exited := make(chan error, 1)
	go func() {
		if id.AwaitEnd(ctx) == nil {
			exited <- errors.New("it has exited")
		}
	}()
	return exited
}

// escape is what a program writes to a terminal to change its colours, and the like.
var escape = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// matches reports whether a line matches, and how many bytes of whole lines did not.
// Colours are no part of a line.
// It reads the log as a stream: nobody knows how much a service has to say.
func matches(re *regexp.Regexp, log io.Reader) (found bool, passed int64) {
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		text := bytes.TrimRight(line, "\r\n")
		if re.Match(text) || bytes.IndexByte(text, '\x1b') >= 0 && re.Match(escape.ReplaceAll(text, nil)) {
			return true, passed
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false, passed
		}
		passed += int64(len(line))
	}
}

// answersTCP holds when the service accepts connections at its port.
func (s service) answersTCP(number int, fact ServiceFact) condition {
	return func(ctx context.Context) error {
		var err error
		for _, host := range []string{"127.0.0.1", "::1"} {
			var conn net.Conn
			dialer := net.Dialer{Timeout: probeTimeout}
			conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(number)))
			if err == nil {
				return errors.Join(conn.Close(), s.owns(number, fact))
			}
		}
		return fmt.Errorf("port %d does not answer: %w", number, err)
	}
}

// answersHTTP holds when a URL, or a path at the service's port, answers with a
// status from 200 to 399. "Not found" would be what a server says of a path that it
// does not know, or does not know yet.
func (s service) answersHTTP(target string, fact ServiceFact, vars map[string]string) condition {
	number := s.Session().Ports[s.spec.Name]
	return func(ctx context.Context) error {
		expanded, err := dotenv.ExpandAll(map[string]string{"url": target}, vars)
		if err != nil {
			return err
		}
		address := expanded["url"]
		if strings.HasPrefix(address, "/") {
			address = fmt.Sprintf("http://localhost:%d%s", number, address)
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		// No proxy, no connection that is kept, and nowhere else that it sends
		// us to: it must be this service that answers, now.
		client := http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if isPortOf(request.URL, number) {
			if err := s.owns(number, fact); err != nil {
				return err
			}
		}
		if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("%s answers %s", address, response.Status)
		}
		return nil
	}
}

// isPortOf reports whether a URL leads to a port of this machine.
func isPortOf(u *url.URL, number int) bool {
	ip := net.ParseIP(u.Hostname())
	local := strings.EqualFold(u.Hostname(), "localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
	return local && u.Port() == strconv.Itoa(number)
}

// says holds when a line that the service has written matches a pattern. What was
// looked at is not read again.
func says(pattern string, fact ServiceFact) condition {
	from := fact.Offset
	return func(context.Context) error {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return err
		}
		file, err := os.Open(fact.Log)
		if err != nil {
			return err
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.Size() < from {
			from = 0 // somebody has cut it
		}
		if _, err := file.Seek(from, io.SeekStart); err != nil {
			return err
		}
		found, passed := matches(re, file)
		if from += passed; found {
			return nil
		}
		return fmt.Errorf("no line of its log matches %q", pattern)
	}
}
