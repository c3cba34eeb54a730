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
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ecluse/steps/dotenv"
	"ecluse/steps/proc"
	"ecluse/steps/run"
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
)

// condition is one thing that must hold for a service to be ready: nil, or why
// not yet.
type condition func(ctx context.Context) error

// probe is everything that must hold for a service to be ready.
type probe []condition

// probe collects the conditions of the service; without any it is its port that
// must answer.
func (s service) probe(fact serviceFact, vars map[string]string) probe {
	var p probe
	ready, number := s.spec.Ready, s.Session().Ports[s.spec.Name]
	if ready.HTTP != "" {
		p = append(p, answersHTTP(ready.HTTP, number, vars))
	}
	if ready.Log != "" {
		p = append(p, says(ready.Log, fact))
	}
	if ready.Command != "" {
		command := run.Shell(s.Session().Worktree, ready.Command, list(vars)...)
		p = append(p, func(ctx context.Context) error { return command.Run(ctx) })
	}
	if ready.TCP || len(p) == 0 && number != 0 {
		p = append(p, answersTCP(number))
	}
	return p
}

// await waits until every condition holds, the service exits, or ctx ends.
func (p probe) await(ctx context.Context, exited <-chan error) error {
	for _, holds := range p {
		for {
			err := holds(ctx)
			if err == nil {
				break
			}
			select {
			case exit := <-exited:
				return exit
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			case <-time.After(probeInterval):
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

// matches reports whether a line matches. It reads the log as a stream: nobody
// knows how much a service has to say.
func matches(re *regexp.Regexp, log io.Reader) bool {
	lines := bufio.NewReaderSize(log, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if re.Match(bytes.TrimRight(line, "\r\n")) {
			return true
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
	}
}

// answersTCP holds when something accepts connections at a port.
func answersTCP(number int) condition {
	return func(ctx context.Context) error {
		var err error
		for _, host := range []string{"127.0.0.1", "::1"} {
			var conn net.Conn
			dialer := net.Dialer{Timeout: probeTimeout}
			conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(number)))
			if err == nil {
				return conn.Close()
			}
		}
		return fmt.Errorf("port %d does not answer: %w", number, err)
	}
}

// answersHTTP holds when a URL, or a path at the service's port, answers with a
// status below 500.
func answersHTTP(target string, number int, vars map[string]string) condition {
	return func(ctx context.Context) error {
		expanded, err := dotenv.ExpandAll(map[string]string{"url": target}, vars)
		if err != nil {
			return err
		}
		url := expanded["url"]
		if strings.HasPrefix(url, "/") {
			url = fmt.Sprintf("http://localhost:%d%s", number, url)
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		// No proxy and no connection that is kept: it must be this service
		// that answers, now.
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if response.StatusCode >= http.StatusInternalServerError {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}

// says holds when a line that the service has written matches a pattern.
func says(pattern string, fact serviceFact) condition {
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
		if _, err := file.Seek(fact.Offset, 0); err != nil {
			return err
		}
		if !matches(re, file) {
			return fmt.Errorf("no line of its log matches %q", pattern)
		}
		return nil
	}
}
