package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"ecluse/steps/run"
)

// UpOptions are a project and what is to become of it.
type UpOptions struct {
	Project
	// Session is the random id that everything is labelled with.
	Session string
	// Services are what must be there in the end.
	Services []Service
	// Timeout bounds the wait from the moment that all containers exist:
	// pulling and building take as long as they take.
	Timeout time.Duration
	// Anew stops what runs before, so that all of it starts again.
	Anew bool
	// Report is told of each change of a service's state. May be nil.
	Report func(Status)
	// Who names the program that has a port, empty if it cannot tell. May be nil.
	Who func(port int) string
}

// Status is how a service is getting on.
type Status struct {
	Service string
	// State in words: "starting", "healthy", "exited with status 0".
	State string
	// Ready: it is what it should be. Ready services of so many are ready.
	Ready    bool
	ReadyOf  int
	Services int
}

const (
	// pollFirst and pollMost are the pauses between two looks at the
	// containers. Each look is a process, or two.
	pollFirst = 400 * time.Millisecond
	pollMost  = time.Second
	// steady is how long a container without a health check must have run:
	// the engine says "running" of one that dies at once, too.
	steady = 700 * time.Millisecond
	// steadyAgain is the same for one that has died before, and may well do so
	// again.
	steadyAgain = 3 * time.Second
	// tardy is how late a rest ends on a machine that is only busy.
	tardy = 250 * time.Millisecond
	// secondOpinion is how many more health checks must fail of what was
	// unhealthy before anything was done about it.
	secondOpinion = 3
)

// Up starts the project and returns once every service is what it should be. An
// error is a *ServiceError or *TimeoutError where a service is at fault. Either
// way the daemon may go on for a while with what it was asked for.
func (e *Engine) Up(ctx context.Context, o UpOptions) error {
	if len(o.Services) == 0 {
		return nil
	}
	command, err := e.composed(ctx, o.Project, "up", "--detach", "--remove-orphans", "--no-color")
	if err != nil {
		return err
	}
	before, err := e.prepare(ctx, o)
	if err != nil {
		return err
	}
	w := newWatch(o, before)
	upCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- command.Run(upCtx)
		close(ended)
	}()
	verdict, err := e.watch(ctx, w, ended)
	if !w.upEnded {
		cancel()
		for range ended { // until it has ended, as it was told to
		}
	}
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case verdict != nil:
		return e.accuse(ctx, o, e.explain(ctx, o, verdict))
	case err != nil:
		return e.blame(ctx, o, w, err)
	default:
		return nil
	}
}

// prepare does what must be done before Compose starts anything, and lists the
// containers that there are then.
func (e *Engine) prepare(ctx context.Context, o UpOptions) ([]container, error) {
	seen, err := e.look(ctx, composeProject+"="+o.Name)
	if err != nil {
		return nil, fmt.Errorf("look what there is of the services: %w", err)
	}
	if err := e.unpause(ctx, seen); err != nil {
		return nil, err
	}
	if err := e.still(ctx, o); err != nil {
		return nil, err
	}
	built, err := e.stages(ctx, o)
	if err != nil || len(seen) == 0 && !o.Anew && !built {
		return nil, err
	}
	return e.containers(ctx, composeProject+"="+o.Name)
}

// unpause lets go on what somebody has paused: Compose cannot start it.
func (e *Engine) unpause(ctx context.Context, seen []Container) error {
	paused := slices.DeleteFunc(slices.Clone(seen), func(c Container) bool { return c.State != "paused" })
	if len(paused) == 0 {
		return nil
	}
	if _, err := e.docker(ctx, append([]string{"unpause"}, ids(paused)...)...); err != nil {
		return fmt.Errorf("let paused containers go on: %w", err)
	}
	return nil
}

// still stops what runs if all is to start again. The containers stay, and so do
// their volumes.
func (e *Engine) still(ctx context.Context, o UpOptions) error {
	if !o.Anew {
		return nil
	}
	command, err := e.composed(ctx, o.Project, "stop")
	if err == nil {
		err = meaning(command.Run(ctx))
	}
	if err != nil {
		return fmt.Errorf("stop the services, to start them anew: %w", err)
	}
	return nil
}

// stages builds what other services are built from, as far as it is not there:
// Compose builds all at once. It tells whether there are any.
func (e *Engine) stages(ctx context.Context, o UpOptions) (staged bool, err error) {
	services, images := map[int][]string{}, map[int][]string{}
	last := 0
	for _, s := range o.Services {
		services[s.Stage], images[s.Stage] = append(services[s.Stage], s.Name), append(images[s.Stage], s.Image)
		last = max(last, s.Stage)
	}
	for stage := 1; stage <= last; stage++ {
		if _, err := e.docker(ctx, append([]string{"image", "inspect", "--format", "{{.Id}}"}, images[stage]...)...); err == nil {
			continue
		}
		command, err := e.composed(ctx, o.Project, append([]string{"build"}, services[stage]...)...)
		if err != nil {
			return true, err
		}
		if err := command.Run(ctx); err != nil {
			return true, fmt.Errorf("build %s, which others are built from: %w", strings.Join(services[stage], ", "), brief(meaning(err)))
		}
	}
	return last > 0, nil
}

// watch looks at the containers until all is well (nil, nil), until a service
// cannot become what it should be, or until Compose fails.
func (e *Engine) watch(ctx context.Context, w *watch, ended <-chan error) (error, error) {
	var s sight
	looked := time.Now()
	for pause := pollFirst; ; pause = min(pause*5/4, pollMost) {
		rest, begun := w.wait(pause), time.Now()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case err := <-ended:
			w.upEnded, ended = true, nil
			if err != nil {
				return nil, err
			}
		case <-time.After(rest):
		}
		proven := proof(rest, time.Since(begun))
		closely, err := e.see(ctx, w, &s)
		if err != nil {
			return nil, err
		}
		looked = w.skip(looked, proven)
		verdict, ready := w.look(s.list, looked)
		if (verdict != nil || ready) && !closely { // what is told is what is so now
			if s.list, err = e.containers(ctx, composeProject+"="+w.Name); err != nil {
				return nil, err
			}
			looked = w.skip(looked, 0)
			verdict, ready = w.look(s.list, looked)
		}
		if verdict != nil || ready {
			return verdict, nil
		}
	}
}

// blame turns a failure of Compose into that of a service, if one is to blame:
// Compose waits for a dependency only to say that it failed.
func (e *Engine) blame(ctx context.Context, o UpOptions, w *watch, err error) error {
	err = meaning(err)
	if errors.Is(err, ErrUnreachable) {
		return fmt.Errorf("start the services: %w", err)
	}
	why := hinted(o.unpulled(err, brief(err)), said(err))
	w.ill = nil // Compose has waited as long as it would
	if list, lookErr := e.containers(ctx, composeProject+"="+o.Name); lookErr == nil {
		if verdict, _ := w.look(list, time.Now()); verdict != nil {
			why = e.explain(ctx, o, verdict)
		}
	}
	if !errors.Is(why, ErrPool) && !errors.Is(why, ErrPortTaken) {
		why = hinted(why, said(err))
	}
	return fmt.Errorf("start the services: %w", e.accuse(ctx, o, why))
}

// brief leaves of what Compose wrote what was the matter: what the engine answered,
// or why a build failed. The rest is in the log.
func brief(err error) error {
	const answer, unsolved, rule = "Error response from daemon:", "failed to solve", "------\n"
	text := said(err)
	if at := strings.LastIndex(text, answer); at >= 0 {
		line, _, _ := strings.Cut(text[at+len(answer):], "\n")
		return worded{text: "docker says: " + strings.TrimSpace(line), err: err}
	}
	if strings.Contains(text, unsolved) {
		_, after, found := strings.Cut(text, rule)
		if !found {
			after = text[strings.Index(text, unsolved):]
		}
		return worded{text: "build an image: " + strings.TrimSpace(strings.ReplaceAll(after, rule, "")), err: err}
	}
	var failed *run.Error
	lines := strings.Split(text, "\n")
	if last := lines[len(lines)-1]; errors.As(err, &failed) && failed.Status > 0 && last != "" && !strings.HasPrefix(last, "time=") {
		return worded{text: "docker says: " + strings.TrimSpace(last), err: err}
	}
	return err
}

// pullFailed finds the services of which Compose says that their image cannot be had.
var pullFailed = regexp.MustCompile(`(?m)^ *(\S+) Error `)

// unpulled adds whose image it is to what the engine answered, which says at best
// where it has asked for one.
func (o UpOptions) unpulled(err, why error) error {
	for _, found := range pullFailed.FindAllStringSubmatch(said(err), -1) {
		if image := imageIn(o.File, found[1]); image != "" {
			return fmt.Errorf("pull the image %s of service %s: %w", image, found[1], why)
		}
	}
	return why
}

// imageIn is the image that a compose file names for a service; empty if there is
// none.
func imageIn(file, service string) string {
	var content struct {
		Services map[string]struct {
			Image string `yaml:"image"`
		} `yaml:"services"`
	}
	data, err := os.ReadFile(file)
	if err != nil || yaml.Unmarshal(data, &content) != nil {
		return ""
	}
	return content.Services[service].Image
}

// tailLines is how much of a service's log an error shows.
const tailLines = 15

// explain adds to what is said of services the end of their logs, and what it
// means if the engine would not start one.
func (e *Engine) explain(ctx context.Context, o UpOptions, verdict error) error {
	var late *TimeoutError
	var one *ServiceError
	switch {
	case errors.As(verdict, &late):
		for _, s := range late.Waiting {
			s.Tail = e.tail(ctx, o.Project, s.Service)
		}
	case errors.As(verdict, &one):
		one.Tail = e.tail(ctx, o.Project, one.Service)
		one.Early = one.Early || starting(one.Tail)
		return hinted(verdict, one.State)
	}
	return verdict
}

// tail is the end of a service's log; nothing if it cannot be had.
func (e *Engine) tail(ctx context.Context, p Project, service string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p.File = ""
	command, err := e.composed(ctx, p, "logs", "--no-color", "--no-log-prefix", "--tail", fmt.Sprint(tailLines), service)
	if err != nil {
		return nil
	}
	out, err := run.Command(command).Output(ctx)
	if err != nil {
		return nil
	}
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if line = strings.TrimRight(line, " \r"); line != "" {
			lines = append(lines, first(line, 300))
		}
	}
	return lines[max(0, len(lines)-tailLines):]
}
