package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// object is a mapping of what Compose printed.
type object = map[string]any

// TestAsCompose has Compose itself read the files of a case, and the one that was
// made of them. What it prints of the first, with exactly that changed which a
// session changes, must be what it prints of the second.
func TestAsCompose(t *testing.T) {
	clean(t)
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			m := load(t, dir)
			r := rewritten(t, m)
			file := filepath.Join(t.TempDir(), "private.yaml")
			if err := os.WriteFile(file, r.File, 0o600); err != nil {
				t.Fatal(err)
			}
			ours := config(t, t.TempDir(), append(r.Env, plainCompose...), "--file", file, "--project-directory", dir)
			want := config(t, dir, nil)
			s := sessionOf{m: m, want: want, leased: map[string]bool{}}
			for _, port := range leases(m) {
				s.leased[strconv.Itoa(port)] = true
			}
			s.change()
			s.takePorts(t, ours)
			if diff := cmp.Diff(flat(want), flat(ours)); diff != "" {
				t.Errorf("Compose reads the session's file differently (-theirs +ours):\n%s", diff)
			}
		})
	}
}

// config is what Compose makes of the files that it finds, or is given.
func config(t *testing.T, dir string, env []string, args ...string) object {
	t.Helper()
	var all object
	out, err := composeConfig(t, dir, env, append(args, "config", "--format", "json")...)
	if err == nil {
		err = json.Unmarshal(out, &all)
	} else if strings.Contains(err.Error(), "types.SSHKey") {
		// It cannot write those as JSON.
		if out, err = composeConfig(t, dir, env, append(args, "config", "--format", "yaml")...); err == nil {
			err = yaml.Unmarshal(out, &all)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// composeConfig runs Compose, in a folder.
func composeConfig(t *testing.T, dir string, env []string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", append([]string{"compose", "--project-name", project}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "PWD="+dir), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if errors.Is(err, exec.ErrNotFound) || strings.Contains(errs.String(), "is not a docker command") || strings.Contains(errs.String(), "unknown flag") {
		if os.Getenv("ECLUSE_TEST_DOCKER") == "require" {
			t.Fatal("docker compose is required, and missing")
		}
		t.Skip("no docker compose here")
	}
	return nil, fmt.Errorf("%v: %w\n%s", cmd.Args, err, errs.String())
}

// flat is all that is said in what Compose printed, a line each.
func flat(all object) []string {
	var lines []string
	var walk func(path string, value any)
	walk = func(path string, value any) {
		parts := 0
		switch value := value.(type) {
		case object:
			for key, entry := range value {
				walk(path+"."+key, entry)
			}
			parts = len(value)
		case []any:
			if strings.HasSuffix(path, ".build.ssh") {
				// Compose keeps them in a map, and writes them in any order.
				value = slices.SortedFunc(slices.Values(value), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			for i, entry := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), entry)
			}
			parts = len(value)
		}
		if parts > 0 {
			return
		}
		text, _ := json.Marshal(value)
		if strings.Contains(path, ".networks.") && string(text) == "{}" {
			text = []byte("null") // the same, in other words
		}
		if !strings.HasSuffix(path, ".ipam") {
			lines = append(lines, path+" "+string(text))
		}
	}
	for key, value := range all {
		// Extensions of the file itself have done their work.
		if !strings.HasPrefix(key, "x-") {
			walk(key, value)
		}
	}
	slices.Sort(lines)
	return lines
}

// section is a part of what Compose printed, by name.
func section(all object, name string) map[string]object {
	entries, _ := all[name].(object)
	out := map[string]object{}
	for key, value := range entries {
		if value == nil {
			value = object{}
			entries[key] = value
		}
		if entry, ok := value.(object); ok {
			out[key] = entry
		}
	}
	return out
}

// inner is a mapping in another one, made where it is missing.
func inner(in object, key string) object {
	entry, ok := in[key].(object)
	if !ok {
		entry = object{}
		in[key] = entry
	}
	return entry
}

// sessionOf says, apart from the product's code, what a session changes in what
// Compose printed of the files of a repository.
type sessionOf struct {
	m      *Model
	want   object
	leased map[string]bool
	owner  map[string]string // services by the names of their containers
	images map[string]string // the session's names of what is built, by the file's
	free   map[string]bool   // networks that have lost their subnets
}

// change changes all of it but for the ports.
func (s *sessionOf) change() {
	s.owner, s.images, s.free = map[string]string{}, map[string]string{}, map[string]bool{}
	services := section(s.want, "services")
	for _, name := range slices.Sorted(maps.Keys(services)) {
		image, _ := services[name]["image"].(string)
		if services[name]["build"] != nil && image != "" && s.images[tagged(image)] == "" {
			s.images[tagged(image)] = imageName(project, name)
		}
		if container, _ := services[name]["container_name"].(string); container != "" {
			s.owner[container] = name
		}
	}
	s.networks()
	for key, volume := range section(s.want, "volumes") {
		if volume["external"] != true {
			volume["name"] = project + "_" + key
			mark(volume)
		}
	}
	for _, entry := range section(s.want, "configs") {
		// What is in a variable now is the content, however often that changes.
		if name, _ := entry["environment"].(string); name != "" && entry["external"] != true {
			delete(entry, "environment")
			entry["content"] = strings.ReplaceAll(s.m.project.Environment[name], "$", "$$")
		}
	}
	for name, service := range services {
		s.service(name, service)
	}
}

// networks are named, and have no fixed subnets.
func (s *sessionOf) networks() {
	for key, network := range section(s.want, "networks") {
		if network["external"] == true {
			continue
		}
		network["name"] = project + "_" + key
		mark(network)
		if network["driver"] == "macvlan" || network["driver"] == "ipvlan" {
			continue
		}
		ipam := inner(network, "ipam")
		pools, _ := ipam["config"].([]any)
		var kept []any
		for _, pool := range pools {
			s.free[key] = true
			if subnet, _ := pool.(object)["subnet"].(string); strings.Contains(subnet, ":") {
				kept = append(kept, object{"subnet": localSubnet(project + "_" + key)})
			}
		}
		if ipam["config"] = kept; kept == nil {
			delete(ipam, "config")
		}
	}
}

// service changes one service.
func (s *sessionOf) service(name string, service object) {
	mark(service)
	container, _ := service["container_name"].(string)
	delete(service, "container_name")
	delete(service, "profiles")
	for key, network := range section(service, "networks") {
		if container != "" && container != name {
			aliases, _ := network["aliases"].([]any)
			if !slices.Contains(aliases, any(container)) {
				network["aliases"] = append(aliases, container)
			}
		}
		if s.free[key] {
			delete(network, "ipv4_address")
			delete(network, "ipv6_address")
		}
	}
	s.image(name, service)
	s.references(service)
	on, _ := service["depends_on"].(object)
	maps.DeleteFunc(on, func(other string, _ any) bool { return !slices.Contains(s.m.Services(), other) })
	if len(on) == 0 {
		delete(service, "depends_on")
	}
}

// image gives what is built a name.
func (s *sessionOf) image(name string, service object) {
	image, _ := service["image"].(string)
	build, built := service["build"].(object)
	own := s.images[tagged(image)]
	if built && image == "" {
		own = imageName(project, name)
	}
	if own == "" {
		return
	}
	service["image"] = own
	if !built || service["pull_policy"] != "build" {
		service["pull_policy"] = "never"
	}
	if !built {
		return
	}
	delete(build, "tags")
	mark(build)
	contexts, _ := build["additional_contexts"].(object)
	for key, context := range contexts {
		image, _ := strings.CutPrefix(fmt.Sprint(context), "docker-image://")
		if own := s.images[tagged(image)]; own != "" {
			contexts[key] = "docker-image://" + own
		}
	}
}

// tagged is an image with the tag that it has when none is said.
func tagged(image string) string {
	if image == "" || strings.Contains(image[strings.LastIndex(image, "/")+1:], ":") {
		return image
	}
	return image + ":latest"
}

// references are to services, where they were to containers with a name.
func (s *sessionOf) references(service object) {
	needs := func(host string, restart bool) {
		on := inner(service, "depends_on")
		if on[host] == nil {
			on[host] = object{"condition": "service_started", "required": true}
			if restart {
				on[host].(object)["restart"] = true
			}
		}
	}
	for _, key := range []string{"network_mode", "pid", "ipc"} {
		mode, _ := service[key].(string)
		if host := s.owner[strings.TrimPrefix(mode, "container:")]; host != "" && strings.HasPrefix(mode, "container:") {
			service[key] = "service:" + host
			needs(host, true)
		}
	}
	from, _ := service["volumes_from"].([]any)
	for i := range from {
		container, ok := strings.CutPrefix(from[i].(string), "container:")
		container, access, cut := strings.Cut(container, ":")
		if host := s.owner[container]; ok && host != "" {
			if from[i] = host; cut {
				from[i] = host + ":" + access
			}
			needs(host, false)
		}
	}
	links, _ := service["external_links"].([]any)
	var kept []any
	for _, link := range links {
		container, alias, _ := strings.Cut(link.(string), ":")
		host := s.owner[container]
		if host == "" {
			kept = append(kept, link)
			continue
		}
		have, _ := service["links"].([]any)
		service["links"] = append(have, host+":"+either(alias, container))
		needs(host, true)
	}
	if service["external_links"] = kept; len(kept) == 0 {
		delete(service, "external_links")
	}
}

// takePorts looks whether all that is published in ours is a lease, each for one
// port, and takes that over: which lease it is says the golden file.
func (s *sessionOf) takePorts(t *testing.T, ours object) {
	t.Helper()
	given := map[string]string{}
	services := section(ours, "services")
	for name, service := range section(s.want, "services") {
		theirs, _ := service["ports"].([]any)
		if service["network_mode"] == "host" {
			continue // they mean nothing
		}
		mine, _ := services[name]["ports"].([]any)
		for i := range theirs {
			port := theirs[i].(object)
			if replicas(s.m.project.Services[name]) > 1 {
				delete(port, "published")
				continue
			}
			if i >= len(mine) {
				break
			}
			lease, _ := mine[i].(object)["published"].(string)
			key := fmt.Sprint(lease, "/", port["protocol"])
			what := fmt.Sprint(name, port["target"], port["published"])
			if !s.leased[lease] || given[key] != "" && given[key] != what {
				t.Errorf("service %s publishes %v at %q, which is no lease, or that of %s", name, port, lease, given[key])
			}
			given[key] = what
			port["published"] = lease
		}
	}
}

// mark adds the session's labels.
func mark(entry object) {
	labels := inner(entry, "labels")
	for key, value := range marks {
		labels[key] = value
	}
}
