package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Place is where an engine is, as docker is told it. It is remembered with what
// was made there: the environment of whoever removes it may say another. The
// zero Place is wherever the environment says.
type Place struct {
	// Host is what DOCKER_HOST was.
	Host string `json:"host,omitempty"`
	// Context is the name of a docker context; only without a Host.
	Context string `json:"context,omitempty"`
}

// defaultContext is the context of the engine on this machine.
const defaultContext = "default"

// Here is the place that docker talks to in this environment. DOCKER_HOST wins
// over DOCKER_CONTEXT, and that over what `docker context use` has chosen.
func Here(ctx context.Context) (Place, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return Place{Host: host}, nil
	}
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return Place{Context: name}, nil
	}
	if name, ok := chosenContext(); ok {
		return Place{Context: name}, nil
	}
	out, err := (&Engine{}).docker(ctx, "context", "show")
	if err != nil {
		return Place{}, fmt.Errorf("ask docker which context is chosen: %w", err)
	}
	return Place{Context: strings.TrimSpace(string(out))}, nil
}

// chosenContext reads what `docker context use` wrote, which is a process cheaper
// than to ask docker. It is not ok where the file cannot be understood.
func chosenContext() (name string, ok bool) {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", false
		}
		dir = filepath.Join(home, ".docker")
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return defaultContext, true
	}
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	if err != nil || json.Unmarshal(data, &config) != nil {
		return "", false
	}
	return either(config.CurrentContext, defaultContext), true
}

// env makes docker talk to the place and to no other. An empty variable counts as
// one that is not set. What belongs to TLS stays as the user has it.
func (p Place) env() []string {
	switch {
	case p.Host != "":
		return []string{"DOCKER_HOST=" + p.Host, "DOCKER_CONTEXT="}
	case p.Context != "":
		return []string{"DOCKER_HOST=", "DOCKER_CONTEXT=" + p.Context}
	default:
		return nil
	}
}

// String names the place for messages.
func (p Place) String() string {
	switch {
	case p.Host != "":
		return "DOCKER_HOST " + p.Host
	case p.Context != "":
		return "docker context " + p.Context
	default:
		return "the docker engine of this environment"
	}
}

// Remote is the name of the machine on which the ports of the containers answer,
// where that is another machine than this one for all that can be told: the host
// of a tcp:// or ssh:// endpoint. It is empty for a socket of this machine.
func (p Place) Remote(ctx context.Context) (string, error) {
	host := p.Host
	if host == "" && p.Context != "" && p.Context != defaultContext {
		out, err := (&Engine{place: p}).docker(ctx, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", p.Context)
		if err != nil {
			return "", fmt.Errorf("ask docker where its context %s is: %w", p.Context, err)
		}
		host = strings.TrimSpace(string(out))
	}
	return remoteName(host), nil
}

// remoteName is the name of the machine in an endpoint.
func remoteName(endpoint string) string {
	if endpoint != "" && !strings.Contains(endpoint, "://") {
		endpoint = "tcp://" + endpoint // as docker reads it
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "tcp", "ssh", "http", "https":
		return u.Hostname()
	default:
		return ""
	}
}
