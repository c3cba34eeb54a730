package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Marked lists what carries the mark of any session. It changes nothing. The error
// wraps [ErrMissing] or [ErrUnreachable].
func (e *Engine) Marked(ctx context.Context) (Resources, error) {
	return e.labelled(ctx, LabelSession)
}

// Remove removes what [Engine.Marked] found. It returns nil only after it looked and
// found nothing of it. The error wraps [ErrUnreachable], or is a *LeftError.
func (e *Engine) Remove(ctx context.Context, r Resources) error {
	return e.sweep(ctx, false, func() (Resources, error) {
		have, err := e.Marked(ctx)
		return Resources{
			Containers: both(r.Containers, have.Containers), Networks: both(r.Networks, have.Networks),
			Volumes: both(r.Volumes, have.Volumes), Images: both(r.Images, have.Images),
		}, err
	})
}

// Identity tells an engine from all others, whatever way leads to it.
func (e *Engine) Identity(ctx context.Context) (string, error) {
	out, err := e.docker(ctx, "info", "--format", "{{.ID}} {{.Name}}")
	if err != nil {
		return "", fmt.Errorf("ask %s who it is: %w", e.place, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// both lists what is in two lists. Its session must be the same: a volume that was made
// anew has its old name.
func both(want, have []Resource) []Resource {
	var list []Resource
	for _, one := range want {
		if slices.ContainsFunc(have, func(r Resource) bool { return r.ID == one.ID && r.Session == one.Session }) {
			list = append(list, one)
		}
	}
	return list
}

// defaultPools are those of an engine that was told of none: fifteen networks of
// 172.17.0.0/12 and sixteen of 192.168.0.0/16.
const defaultPools = 31

// Networks says how many networks there are that take an address pool, and for how many
// the engine has pools.
func (e *Engine) Networks(ctx context.Context) (used, room int, err error) {
	lines, err := e.lines(ctx, "network", "ls", "--quiet", "--filter", "driver=bridge")
	if err != nil {
		return 0, 0, fmt.Errorf("count the networks: %w", err)
	}
	out, err := e.docker(ctx, "info", "--format", "{{json .DefaultAddressPools}}")
	if err != nil {
		return 0, 0, fmt.Errorf("ask docker for its address pools: %w", err)
	}
	return len(lines), roomOf(out), nil
}

// roomOf is how many networks fit into pools, as `docker info` lists them.
func roomOf(out []byte) int {
	var pools []struct {
		Base string
		Size int
	}
	if json.Unmarshal(out, &pools) != nil || len(pools) == 0 {
		return defaultPools
	}
	room := 0
	for _, pool := range pools {
		_, prefix, _ := strings.Cut(pool.Base, "/")
		bits, err := strconv.Atoi(prefix)
		if width := pool.Size - bits; err == nil && width >= 0 {
			room += int(math.Exp2(float64(min(width, 16))))
		}
	}
	return room
}

// Named lists what was made for the sessions of a repository that have or had a name,
// each with the id of its own.
func (e *Engine) Named(ctx context.Context, repo, slug string) (Resources, error) {
	return e.labelled(ctx, LabelRepo+"="+repo, LabelSlug+"="+slug)
}
