package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/steps/run"
)

// Container is what one look tells of a container.
type Container struct {
	ID, Name         string
	Project, Service string
	// State is the engine's word: running, exited, restarting, created, paused,
	// dead.
	State string
	// Health is what the health check says: healthy, unhealthy, starting; empty
	// if there is none, or the container does not run.
	Health string
	// ExitCode is that of one that has exited, or is being started again.
	ExitCode int
	Ports    []Binding
	session  string
}

// look is what is asked of every container.
var look = strings.Join([]string{
	"{{.ID}}", "{{.Names}}", fmt.Sprintf("{{.Label %q}}", composeProject), fmt.Sprintf("{{.Label %q}}", composeService),
	fmt.Sprintf("{{.Label %q}}", composeOneOff), "{{.State}}", "{{.Status}}", "{{.Ports}}", fmt.Sprintf("{{.Label %q}}", LabelSession),
}, "\t")

// lookPatience is how long an engine may take to tell. Whoever asks looks at it, and
// waits.
const lookPatience = 5 * time.Second

// Look tells how all containers of a session are that an engine has, by its random id,
// with one question however many there are. It changes nothing. The error
// wraps [ErrMissing] or [ErrUnreachable].
func Look(ctx context.Context, at Place, session string) ([]Container, error) {
	e := &Engine{place: at}
	ctx, cancel := context.WithTimeoutCause(ctx, lookPatience, fmt.Errorf("%w: %s: no answer within %s", ErrUnreachable, at, lookPatience))
	defer cancel()
	list, err := e.look(ctx, LabelSession+"="+session)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = cause
	}
	if err != nil {
		return nil, fmt.Errorf("ask docker how the containers are: %w", err)
	}
	return list, nil
}

// look tells how the containers are that carry a label and that Compose made.
func (e *Engine) look(ctx context.Context, label string) ([]Container, error) {
	lines, err := e.lines(ctx, "ps", "--all", "--no-trunc", "--filter", "label="+label, "--filter", "label="+composeHash, "--format", look)
	if err != nil {
		return nil, err
	}
	var list []Container
	for _, line := range lines {
		if c, ok := parseLook(line); ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// exitStatus finds the status in "Exited (1) 3 minutes ago".
var exitStatus = regexp.MustCompile(`^(?:Exited|Restarting) \((\d+)\)`)

// parseLook reads a line of an answer; ok is false for what is no container of a
// service.
func parseLook(line string) (c Container, ok bool) {
	parts := append(strings.Split(line, "\t"), make([]string, 8)...)
	if parts[3] == "" || strings.EqualFold(parts[4], "true") {
		return Container{}, false
	}
	c = Container{ID: parts[0], Name: parts[1], Project: parts[2], Service: parts[3], State: parts[5], Ports: parseBindings(parts[7]), session: parts[8]}
	status := parts[6]
	if found := exitStatus.FindStringSubmatch(status); found != nil {
		c.ExitCode, _ = strconv.Atoi(found[1])
	}
	switch {
	case strings.HasSuffix(status, "(healthy)"):
		c.Health = "healthy"
	case strings.HasSuffix(status, "(unhealthy)"):
		c.Health = "unhealthy"
	case strings.HasSuffix(status, "(health: starting)"):
		c.Health = "starting"
	}
	return c, true
}

// parseBindings reads a column of ports: "0.0.0.0:81-82->80-81/tcp, 443/tcp". What
// is published on several addresses is there once.
func parseBindings(column string) []Binding {
	var list []Binding
	for _, entry := range strings.Split(column, ", ") {
		low, high := hostPorts(entry)
		_, inside, _ := strings.Cut(entry, "->")
		ports, protocol, _ := strings.Cut(inside, "/")
		first, _, _ := strings.Cut(ports, "-")
		container, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		for port := low; port > 0 && port <= high; port++ {
			b := Binding{Host: port, Container: container + port - low, Protocol: protocol}
			if !slices.Contains(list, b) {
				list = append(list, b)
			}
		}
	}
	return list
}

// Labels are those of one container. One that there is not has none.
func Labels(ctx context.Context, id string) (map[string]string, error) {
	e := &Engine{}
	lines, err := e.lines(ctx, "inspect", "--type", "container", "--format", inspection, id)
	if err != nil {
		if strings.Contains(said(err), "No such container") {
			return nil, nil
		}
		return nil, fmt.Errorf("ask docker whose container %s is: %w", first(id, 12), err)
	}
	list, err := parseContainers(lines)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0].Labels, nil
}

// ServiceOf is the compose project, and the service of it, that a container with these
// labels is one of.
func ServiceOf(labels map[string]string) (project, service string) {
	return labels[composeProject], container{Labels: labels}.service()
}

// LogOptions choose what is read of a container's output.
type LogOptions struct {
	// Tail is how many lines, from the end; negative for all.
	Tail int
	// Follow goes on until ctx ends, or the container.
	Follow bool
	// Since leaves out what is older, in a form that docker knows; empty for
	// nothing.
	Since string
}

// Logs writes what a container has written, on stdout and stderr alike, to out.
func Logs(ctx context.Context, at Place, id string, o LogOptions, out io.Writer) error {
	args := []string{"logs"}
	if o.Tail >= 0 {
		args = append(args, "--tail", strconv.Itoa(o.Tail))
	}
	if o.Follow {
		args = append(args, "--follow")
	}
	if o.Since != "" {
		args = append(args, "--since", o.Since)
	}
	ctx = run.With(ctx, run.Inherit{Log: out})
	err := run.Command{Dir: anywhere, Name: "docker", Args: append(args, id), Env: append(at.env(), "DOCKER_CLI_HINTS=false")}.Run(ctx)
	if err == nil || errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return fmt.Errorf("read the output of container %s: %w", first(id, 12), meaning(err))
}
