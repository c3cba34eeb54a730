package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/settings"
)

// severalRig is a session of several compose files. Each of its steps has facts of its
// own.
type severalRig struct {
	*composeRig
	mu   sync.Mutex
	kept map[string]map[string]json.RawMessage
}

// twoFiles are those of a repository in which two folders have a service db. BASE in
// them is where the test's ports begin.
func twoFiles() map[string]string {
	return map[string]string{
		"compose.yaml": `
services:
  web: {image: IMAGE, command: ["-serve=:80"], ports: ["BASE0:80"], depends_on: [db]}
  db: {image: IMAGE, command: ["-serve=:80"], ports: ["BASE1:80"], volumes: ["data:/tmp"]}
volumes: {data: }
`,
		"worker/compose.yaml": `
services:
  job: {image: IMAGE, command: ["-serve=:80"], ports: ["BASE0:80"]}
  db: {image: IMAGE, command: ["-serve=:80"], ports: ["BASE1:80"], volumes: ["data:/tmp"]}
volumes: {data: }
`,
	}
}

func newSeveralRig(t *testing.T, base int, files map[string]string) *severalRig {
	t.Helper()
	for name, text := range files {
		files[name] = strings.NewReplacer("BASE0", strconv.Itoa(base), "BASE1", strconv.Itoa(base+200)).Replace(text)
	}
	cfg := composeConfig(settings.ModeContainer)
	cfg.Services = []settings.Service{
		{Name: "web", Run: settings.RunDocker, BasePort: 80, HostPort: base},
		{Name: "job", Run: settings.RunDocker, BasePort: 80, HostPort: base + 100, Compose: "worker/compose.yaml"},
	}
	r := &severalRig{composeRig: newComposeRig(t, cfg, files), kept: map[string]map[string]json.RawMessage{}}
	t.Cleanup(func() { // what a test that failed has left
		engine, err := docker.Open(context.Background())
		for _, project := range projects(r.Config, r.s) {
			if err == nil && t.Failed() {
				err = engine.Down(context.Background(), docker.DownOptions{Project: docker.Project{Name: project}, Session: r.s.ID, Doubt: true})
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	return r
}

// at is an attempt at a step of the session.
func (r *severalRig) at(step string) *saga.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	facts := r.kept[step]
	return saga.NewAttempt(step, facts, func(key string, data json.RawMessage) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		next := map[string]json.RawMessage{}
		for k, v := range r.kept[step] {
			next[k] = v
		}
		next[key] = data
		r.kept[step] = next
		return nil
	})
}

// composeSteps are the steps of the groups, by the plan.
func (r *severalRig) composeSteps(t *testing.T) []compose {
	t.Helper()
	plan, err := Plan(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	var list []compose
	for _, spec := range plan.Steps {
		if spec.Kind != composeStep {
			continue
		}
		if len(list) > 0 && !slices.Equal(spec.Needs, plan.Steps[plan.Index(list[0].group.Step)].Needs) {
			t.Errorf("%s is not beside the first: it needs %v", spec.Name, spec.Needs)
		}
		step, err := build(r.Target, spec)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, step.(compose))
	}
	return list
}

// prepare is what comes before.
func (r *severalRig) prepare(t *testing.T) {
	t.Helper()
	if err := errors.Join((ports{r.Target}).Do(t.Context(), r.at("ports")), volumes{r.Target}.Do(t.Context(), r.at("volumes"))); err != nil {
		t.Fatal(err)
	}
}

// together does steps side by side.
func (r *severalRig) together(t *testing.T, list []compose) []error {
	t.Helper()
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, c := range list {
		wg.Go(func() { errs[i] = c.Do(t.Context(), r.at(c.group.Step)) })
	}
	wg.Wait()
	return errs
}

// back compensates a step.
func (r *severalRig) back(t *testing.T, c saga.Step, step string) {
	t.Helper()
	a := r.at(step)
	a.Compensating = true
	if err := c.Compensate(t.Context(), a); err != nil {
		t.Fatalf("compensate %s: %v", step, err)
	}
}

// containers are the session's, as "step service".
func (r *severalRig) containers(t *testing.T) []string {
	t.Helper()
	out := dockertest.Docker(t, "ps", "--filter", "label="+docker.LabelSession+"="+r.s.ID,
		"--format", `{{.Label "`+docker.LabelStep+`"}} {{.Label "com.docker.compose.service"}}`)
	names := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return line == "" })
	slices.Sort(names)
	return names
}

// remains is what is left of all projects.
func (r *severalRig) remains(t *testing.T) []string {
	t.Helper()
	left := dockertest.Left(t, docker.LabelSession+"="+r.s.ID)
	for _, project := range projects(r.Config, r.s) {
		left = append(left, dockertest.Left(t, "com.docker.compose.project="+project)...)
	}
	return left
}

// TestComposeSeveral: two files with a service of one name are two projects, which
// come and go by themselves.
func TestComposeSeveral(t *testing.T) {
	t.Parallel()
	r := newSeveralRig(t, 18400, twoFiles())
	list := r.composeSteps(t)
	if len(list) != 2 || list[0].group.Step != "compose" || list[1].group.Step != "compose:worker/compose.yaml" {
		t.Fatalf("the steps are %+v", list)
	}
	r.prepare(t)
	if got := sortedKeys(r.s.Ports); !slices.Equal(got, []string{"db", "job", "web", "worker-db"}) {
		t.Errorf("leases %v", got)
	}
	for range 2 {
		if err := errors.Join(r.together(t, list)...); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"compose db", "compose web", "compose:worker/compose.yaml db", "compose:worker/compose.yaml job"}
	if diff := cmp.Diff(want, r.containers(t)); diff != "" {
		t.Fatal(diff)
	}
	for name, port := range r.s.Ports {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("localhost", strconv.Itoa(port)), time.Minute)
		if err != nil {
			t.Errorf("nobody is at the port of %s: %v", name, err)
			continue
		}
		_ = conn.Close()
	}
	verify := func(c compose) error { return c.Verify(t.Context(), r.at(c.group.Step)) }
	if err := errors.Join(verify(list[0]), verify(list[1]), ports{r.Target}.Verify(t.Context(), r.at("ports"))); err != nil {
		t.Error(err)
	}
	leases := r.s.Ports["worker-db"]
	delete(r.s.Ports, "worker-db")
	if err := (ports{r.Target}).Verify(t.Context(), r.at("ports")); !errors.Is(err, docker.ErrNoLease) {
		t.Errorf("without the lease of the second file's db: %v", err)
	}
	r.s.Ports["worker-db"] = leases

	// Each step answers for its own, also when the files are gone.
	if err := os.RemoveAll(r.s.Worktree); err != nil {
		t.Fatal(err)
	}
	r.back(t, list[1], list[1].group.Step)
	if diff := cmp.Diff(want[:2], r.containers(t)); diff != "" {
		t.Error(diff)
	}
	r.s.Run.Verb = session.VerbDown
	r.back(t, list[0], list[0].group.Step)
	r.back(t, volumes{r.Target}, "volumes")
	if left := r.remains(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestComposeOneOfSeveralFails: what one group leaves when it fails is its own.
func TestComposeOneOfSeveralFails(t *testing.T) {
	t.Parallel()
	files := twoFiles()
	files["worker/compose.yaml"] = strings.Replace(files["worker/compose.yaml"], `job: {image: IMAGE, command: ["-serve=:80"]`, `job: {image: IMAGE, command: ["-exit=1"]`, 1)
	r := newSeveralRig(t, 18800, files)
	list := r.composeSteps(t)
	r.prepare(t)
	errs := r.together(t, list)
	var failed *docker.ServiceError
	if errs[0] != nil || !errors.As(errs[1], &failed) || failed.Service != "job" {
		t.Fatalf("got %v, want that job fails", errs)
	}
	ids := func() string {
		return dockertest.Docker(t, "ps", "--quiet", "--no-trunc", "--filter", "label="+docker.LabelStep+"="+composeStep, "--filter", "label="+docker.LabelSession+"="+r.s.ID)
	}
	before := ids()
	r.back(t, list[1], list[1].group.Step)
	if after := ids(); after != before || len(strings.Fields(after)) != 2 {
		t.Errorf("the containers of the other step were %q and are %q", before, after)
	}
	if err := list[0].Verify(t.Context(), r.at(composeStep)); err != nil {
		t.Error(err)
	}
	if got := r.containers(t); !slices.Equal(got, []string{"compose db", "compose web"}) {
		t.Errorf("there are %v", got)
	}
	r.back(t, list[0], composeStep)
	r.back(t, volumes{r.Target}, "volumes")
	if left := r.remains(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestComposeNothingChosenOfOne: a group of which nothing was chosen has nothing to do.
func TestComposeNothingChosenOfOne(t *testing.T) {
	t.Parallel()
	r := newSeveralRig(t, 19200, twoFiles())
	r.Config.Choice.Only = []string{"job"}
	list := r.composeSteps(t)
	r.prepare(t)
	if err := errors.Join(r.together(t, list)...); err != nil {
		t.Fatal(err)
	}
	if got := r.containers(t); !slices.Equal(got, []string{"compose:worker/compose.yaml job"}) {
		t.Errorf("there are %v", got)
	}
	for _, c := range list {
		if err := c.Verify(t.Context(), r.at(c.group.Step)); err != nil {
			t.Errorf("%s: %v", c.group.Step, err)
		}
		r.back(t, c, c.group.Step)
	}
	r.back(t, volumes{r.Target}, "volumes")
	if left := r.remains(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestComposeSubfolder: variables, files and paths of a file in a folder are those
// that Compose would take.
func TestComposeSubfolder(t *testing.T) {
	t.Parallel()
	const service = `
services:
  %s:
    image: none
    environment: {A: "${A-unset}", B: "${B-unset}", P: "${COMPOSE_PROJECT_NAME}"}
    volumes: ["./data:/data"]
    env_file: own.env
`
	r := newSeveralRig(t, 19600, map[string]string{
		".env": "A=root\nB=root\n", "worker/.env": "A=worker\n", "own.env": "F=root\n", "worker/own.env": "F=worker\n",
		"compose.yaml": fmt.Sprintf(service, "web"), "worker/compose.yaml": fmt.Sprintf(service, "job"),
	})
	r.Config.Services[0].PublishPrimary, r.Config.Services[1].PublishPrimary = new(bool), new(bool)
	for i, c := range r.composeSteps(t) {
		made, err := c.rewrite(t.Context(), ComposeFact{}, c.group.Step)
		if err != nil {
			t.Fatal(err)
		}
		private := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(private, made.File, 0o600); err != nil {
			t.Fatal(err)
		}
		name := []string{"web", "job"}[i]
		project := projects(r.Config, r.s)[i]
		want := r.resolved(t, name, "-p", project, "-f", []string{"compose.yaml", "worker/compose.yaml"}[i])
		got := r.resolved(t, name, "-p", project, "-f", private)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !strings.Contains(want, `"B":"`+[]string{"root", "unset"}[i]+`"`) || !strings.Contains(want, project) {
			t.Errorf("Compose makes of it %s", want)
		}
	}
}

// resolved is what Compose makes of a service: of what the test is about.
func (r *severalRig) resolved(t *testing.T, service string, args ...string) string {
	t.Helper()
	cmd := exec.Command("docker", append(append([]string{"compose"}, args...), "config", "--format", "json")...)
	cmd.Dir = r.s.Worktree
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker compose config: %v", err)
	}
	var model struct {
		Services map[string]struct {
			Environment map[string]string `json:"environment"`
			Volumes     []struct {
				Source string `json:"source"`
			} `json:"volumes"`
		} `json:"services"`
	}
	if err := json.Unmarshal(out, &model); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(model.Services[service])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
