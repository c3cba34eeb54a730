package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Labels that Compose puts on what it makes.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeOneOff  = "com.docker.compose.oneoff"
)

// container is what the engine says of one container.
type container struct {
	ID     string
	Name   string
	Labels map[string]string
	State  struct {
		Status    string
		ExitCode  int
		OOMKilled bool
		Error     string
		StartedAt time.Time
		Health    *health
	}
	Restart  struct{ Name string }
	Restarts int
	Ports    map[string][]binding
	Mounts   []struct{ Type, Name string }
}

// binding is where a port of a container is published.
type binding struct{ HostIP, HostPort string }

// health is what the health checks of a container say.
type health struct {
	Status string
	// FailingStreak is how many have failed in a row.
	FailingStreak int
	Log           []struct {
		ExitCode int
		Output   string
	}
}

// inspection asks for just that. One line a container.
const inspection = `{"ID":{{json .Id}},"Name":{{json .Name}},"Labels":{{json .Config.Labels}},"State":{{json .State}},` +
	`"Restart":{{json .HostConfig.RestartPolicy}},"Restarts":{{json .RestartCount}},` +
	`"Ports":{{json .NetworkSettings.Ports}},"Mounts":{{json .Mounts}}}`

// containers describes the containers with a label that Compose made. One that vanishes meanwhile is
// left out.
func (e *Engine) containers(ctx context.Context, label string) ([]container, error) {
	for try := 0; ; try++ {
		ids, err := e.lines(ctx, "ps", "--all", "--no-trunc", "--quiet", "--filter", "label="+label, "--filter", "label="+composeHash)
		if err != nil || len(ids) == 0 {
			return nil, err
		}
		list, err := e.inspected(ctx, ids)
		if err == nil || try == 5 || !vanished(err) {
			return list, err
		}
	}
}

// inspected describes containers. If one of them has vanished, it is those that are
// there, and an error.
func (e *Engine) inspected(ctx context.Context, ids []string) ([]container, error) {
	out, err := e.lines(ctx, append([]string{"inspect", "--type", "container", "--format", inspection}, ids...)...)
	if err != nil && !vanished(err) {
		return nil, err
	}
	list, unread := parseContainers(out)
	return list, errors.Join(err, unread)
}

// vanished reports whether an error is that a container is not there any more.
func vanished(err error) bool { return strings.Contains(said(err), "No such container") }

// parseContainers reads what inspection printed.
func parseContainers(lines []string) ([]container, error) {
	var list []container
	for _, line := range lines {
		var c container
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return nil, fmt.Errorf("read what docker inspect says: %w", err)
		}
		c.Name = strings.TrimPrefix(c.Name, "/")
		list = append(list, c)
	}
	return list, nil
}

// service is the service that the container is one of; empty if it is a one-off.
func (c container) service() string {
	if strings.EqualFold(c.Labels[composeOneOff], "true") {
		return ""
	}
	return c.Labels[composeService]
}

// anonymous are the volumes of the container that have no name but a number.
func (c container) anonymous() []string {
	var names []string
	for _, m := range c.Mounts {
		if m.Type == "volume" && len(m.Name) == 64 && nameless(m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// nameless reports whether a volume of that name, of which a listing may show but the
// beginning, can be one without a name but a number.
func nameless(volume string) bool {
	_, err := strconv.ParseUint(first(volume, 8), 16, 64)
	return err == nil
}

// first is the beginning of a string.
func first(s string, n int) string { return s[:min(n, len(s))] }

// PublishedPorts are the ports that containers publish on the engine's machine,
// TCP and UDP alike, and the names of the containers.
func PublishedPorts(ctx context.Context) (map[int]string, error) {
	e, err := Open(ctx)
	if err != nil {
		return nil, err
	}
	return e.PublishedPorts(ctx)
}

// PublishedPorts is the function of that name, for an engine that was opened.
func (e *Engine) PublishedPorts(ctx context.Context) (map[int]string, error) {
	lines, err := e.lines(ctx, "ps", "--no-trunc", "--format", "{{.Names}}\t{{.Ports}}")
	if err != nil {
		return nil, fmt.Errorf("ask docker which ports it publishes: %w", err)
	}
	ports := map[int]string{}
	for _, line := range lines {
		name, published, _ := strings.Cut(line, "\t")
		for _, entry := range strings.Split(published, ", ") {
			low, high := hostPorts(entry)
			for port := low; port > 0 && port <= high; port++ {
				ports[port] = name
			}
		}
	}
	return ports, nil
}

// hostPorts reads an entry of the ports column: "0.0.0.0:80-81->8080-8081/tcp",
// ":::80->80/tcp". What is only exposed ("80/tcp") has no host port.
func hostPorts(entry string) (low, high int) {
	host, _, published := strings.Cut(entry, "->")
	at := strings.LastIndex(host, ":")
	if !published || at < 0 {
		return 0, -1
	}
	from, to, ranged := strings.Cut(host[at+1:], "-")
	low, err := strconv.Atoi(from)
	if err != nil {
		return 0, -1
	}
	if !ranged {
		return low, low
	}
	high, err = strconv.Atoi(to)
	if err != nil {
		return 0, -1
	}
	return low, high
}
