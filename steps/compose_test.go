package steps

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps/docker"
	"ecluse/steps/docker/dockertest"
	"ecluse/steps/settings"
)

// composeRig is a session as the steps ports and compose see it, with the facts
// that they saved.
type composeRig struct {
	*Target
	s     session.Session
	facts map[string]json.RawMessage
}

// Session implements session.Handle.
func (r *composeRig) Session() session.Session { return r.s }

// Lease implements session.Handle: everybody gets the first candidate that no
// other lease has.
func (r *composeRig) Lease(wants []session.Want) (session.Session, error) {
	held := map[int]bool{}
	for _, port := range r.s.Ports {
		held[port] = true
	}
	for _, want := range wants {
		i := slices.IndexFunc(want.Candidates, func(port int) bool { return !held[port] })
		if i < 0 {
			return r.s, session.ErrExhausted
		}
		r.s.Ports[want.Name] = want.Candidates[i]
		held[want.Candidates[i]] = true
	}
	return r.s, nil
}

// newComposeRig makes a worktree with these files. IMAGE in them is the test image.
func newComposeRig(t *testing.T, cfg settings.Config, files map[string]string) *composeRig {
	t.Helper()
	dockertest.Require(t)
	id := strings.ToLower(rand.Text()[:10])
	root := t.TempDir()
	cfg.PortSearchRange = 100
	r := &composeRig{facts: map[string]json.RawMessage{}, s: session.Session{
		Key: session.Key{Repo: filepath.Join(root, ".git"), Slug: "feat-" + id}, ID: id, Root: root, Mode: cfg.Mode,
		Worktree: filepath.Join(root, "worktree"), Slot: 1, Ports: map[string]int{},
		Run: session.Run{ID: "run-1", Verb: session.VerbUp},
	}}
	r.Target = &Target{Handle: r, Config: cfg, Dir: filepath.Join(root, "private")}
	for name, text := range files {
		r.write(t, name, text)
	}
	project := Project(cfg, r.s)
	dockertest.Clean(t, docker.LabelSession+"="+id)
	dockertest.Clean(t, "com.docker.compose.project="+project)
	t.Cleanup(func() {
		engine, err := docker.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		down := docker.DownOptions{Project: docker.Project{Name: project}, Session: r.s.ID, Doubt: t.Failed()}
		theirs := docker.Volumes{Projects: []string{project}, Session: r.s.ID}
		if err := errors.Join(engine.Down(context.Background(), down), engine.RemoveVolumes(context.Background(), theirs)); err != nil {
			t.Error(err)
		}
	})
	return r
}

// write writes a file of the worktree.
func (r *composeRig) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.s.Worktree, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "IMAGE") {
		text = strings.ReplaceAll(text, "IMAGE", dockertest.Image(t))
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// attempt is an attempt that saves to the rig.
func (r *composeRig) attempt() *saga.Attempt {
	return saga.NewAttempt(composeStep, r.facts, func(key string, data json.RawMessage) error {
		next := map[string]json.RawMessage{key: data}
		for k, v := range r.facts {
			if k != key {
				next[k] = v
			}
		}
		r.facts = next
		return nil
	})
}

// step is the step of the first of the groups.
func (r *composeRig) step() compose { return compose{r.Target, groups(r.Config)[0]} }

func (r *composeRig) do(t *testing.T) error {
	t.Helper()
	if err := (ports{r.Target}).Do(t.Context(), r.attempt()); err != nil {
		return err
	}
	if err := (volumes{r.Target}).Do(t.Context(), r.attempt()); err != nil {
		return err
	}
	return r.step().Do(t.Context(), r.attempt())
}

func (r *composeRig) verify(t *testing.T) error {
	t.Helper()
	return errors.Join(ports{r.Target}.Verify(t.Context(), r.attempt()), r.step().Verify(t.Context(), r.attempt()))
}

func (r *composeRig) compensate(t *testing.T, reverting bool) {
	t.Helper()
	a := r.attempt()
	a.Compensating, a.Reverting = true, reverting
	if err := errors.Join(r.step().Compensate(t.Context(), a), volumes{r.Target}.Compensate(t.Context(), a)); err != nil {
		t.Fatal(err)
	}
}

// there are the services that have containers.
func (r *composeRig) there(t *testing.T) []string {
	t.Helper()
	out := dockertest.Docker(t, "ps", "--all", "--filter", "label="+docker.LabelSession+"="+r.s.ID, "--format", `{{.Label "com.docker.compose.service"}}`)
	names := strings.Fields(out)
	slices.Sort(names)
	return names
}

func (r *composeRig) left(t *testing.T) []string {
	t.Helper()
	return append(dockertest.Left(t, docker.LabelSession+"="+r.s.ID),
		dockertest.Left(t, "com.docker.compose.project="+Project(r.Config, r.s))...)
}

// composeConfig is a configuration of a mode.
func composeConfig(mode string) settings.Config {
	cfg := settings.Defaults()
	cfg.Mode = mode
	return cfg
}

func TestComposeLife(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services:
  web: {image: IMAGE, command: ["-serve=:80"], ports: ["18280:80"], volumes: ["data:/tmp"]}
volumes: {data: }
`})
	if err := r.verify(t); err == nil {
		t.Error("verified before anything was made")
	}
	r.compensate(t, false) // without a Do
	for range 2 {
		if err := r.do(t); err != nil {
			t.Fatal(err)
		}
		if err := r.verify(t); err != nil {
			t.Fatal(err)
		}
	}
	if r.s.Ports["web"] == 18280 || r.s.Ports["web"] == 0 {
		t.Errorf("leases are %v", r.s.Ports)
	}
	before := dockertest.Docker(t, "ps", "--quiet", "--filter", "label="+docker.LabelSession+"="+r.s.ID)

	// A repair by another run leaves what is well as it is.
	r.write(t, "compose.yaml", `
services:
  web: {image: IMAGE, command: ["-serve=:80"], ports: ["18280:80"], volumes: ["data:/tmp"]}
  more: {image: IMAGE}
volumes: {data: }
`)
	if err := r.verify(t); err == nil {
		t.Error("verified although the compose file has changed")
	}
	r.s.Run.ID, r.s.Settled = "run-2", true
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	if err := r.verify(t); err != nil {
		t.Error(err)
	}
	if after := dockertest.Docker(t, "ps", "--quiet", "--filter", "label="+docker.LabelSession+"="+r.s.ID); !strings.Contains(after, before) {
		t.Errorf("container %s was made anew: there are %s", before, after)
	}
	r.compensate(t, true)
	if got := r.there(t); !slices.Equal(got, []string{"more", "web"}) {
		t.Errorf("after a repair that failed there are %v", got)
	}

	// Everything that it was made from is gone.
	if err := os.RemoveAll(r.s.Worktree); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(r.Dir); err != nil {
		t.Fatal(err)
	}
	r.Config = settings.Config{Mode: settings.ModeContainer, Prefix: r.Config.Prefix}
	r.s.Run.Verb = session.VerbDown
	r.compensate(t, false)
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
	r.compensate(t, false)
}

func TestComposeHybrid(t *testing.T) {
	t.Parallel()
	const file = `
services:
  app: {build: ., labels: {ecluse.role: app}, depends_on: [db], volumes: ["own:/x"], ports: ["3000"]}
  sidecar: {image: none, network_mode: "service:app"}
  db: {image: IMAGE, command: ["-serve=:80"], ports: ["80", "81", "82"]}
  proxy: {image: IMAGE, depends_on: [app]}
volumes: {own: }
`
	r := newComposeRig(t, composeConfig(settings.ModeHybrid), map[string]string{"compose.yaml": file})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	if got := r.there(t); !slices.Equal(got, []string{"db", "proxy"}) {
		t.Errorf("containers of %v", got)
	}
	want := []string{"db", "db.81", "db.82"}
	if got := sortedKeys(r.s.Ports); !slices.Equal(got, want) {
		t.Errorf("leases %v, want %v", got, want)
	}
	if err := r.verify(t); err != nil {
		t.Error(err)
	}
	r.compensate(t, false)
	if left := r.left(t); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// TestComposeServices: what [[services]] says of compose services.
func TestComposeServices(t *testing.T) {
	t.Parallel()
	cfg := composeConfig(settings.ModeHybrid)
	yes := true
	cfg.Services = []settings.Service{
		{Name: "db", Run: "docker", BasePort: 80, HostPort: 18380, PublishPrimary: &yes, ExtraPorts: []settings.ExtraPort{{BasePort: 18390, ContainerPort: 81, PortEnv: []string{"ADMIN_PORT"}}}},
	}
	r := newComposeRig(t, cfg, map[string]string{"compose.yaml": `
services:
  db: {image: IMAGE, command: ["-serve=:80"], ports: ["5000:80"], depends_on: [needed]}
  needed: {image: IMAGE}
  not: {image: none}
`})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	if got := r.there(t); !slices.Equal(got, []string{"db", "needed"}) {
		t.Errorf("containers of %v", got)
	}
	if p := r.s.Ports; len(p) != 2 || p["db"] < 18381 || p["db"] > 18390 || p["db.admin_port"] < 18391 {
		t.Errorf("leases %v", p)
	}
	if err := r.verify(t); err != nil {
		t.Error(err)
	}
	vars, err := Environment(r.Config, r.s)
	if err != nil || vars["ADMIN_PORT"] == "" || vars["ECLUSE_DB_PORT"] == "" {
		t.Errorf("environment %v, %v", vars, err)
	}
	r.Config.Services[0].PublishPrimary = nil
	model, err := r.step().model(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if list := model.Published(); len(list) != 1 || list[0].Name != "db.admin_port" {
		t.Errorf("with its first port hidden it publishes %+v", list)
	}
	r.Config.Services[0].Name = "unknown"
	if _, err := r.step().model(t.Context(), true); err == nil {
		t.Error("a service that the compose file does not have was accepted")
	}
}

// TestComposeRollback: an up that fails leaves what an earlier session kept, and
// nothing else.
func TestComposeRollback(t *testing.T) {
	t.Parallel()
	const file = `
services:
  web: {image: IMAGE, command: [CMD], volumes: ["data:/tmp", "more:/more"]}
volumes: {data: , MORE: }
`
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{
		"compose.yaml": strings.NewReplacer("CMD", "", ", \"more:/more\"", "", ", MORE: ", "").Replace(file)})
	if err := r.do(t); err != nil {
		t.Fatal(err)
	}
	r.s.Run = session.Run{ID: "run-2", Verb: session.VerbDown, Options: session.Options{KeepVolumes: true}}
	r.s.Settled = true
	r.compensate(t, false)
	volume := Project(r.Config, r.s) + "_data"
	if left := dockertest.Docker(t, "volume", "ls", "-q", "--filter", "name="+volume); left != volume {
		t.Fatalf("the volume was not kept: %q", left)
	}
	// The next session of that name fails.
	r.s.ID, r.s.Settled, r.facts = r.s.ID+"x", false, nil
	r.s.Run = session.Run{ID: "run-3", Verb: session.VerbUp}
	r.write(t, "compose.yaml", strings.NewReplacer("CMD", `"-exit=1"`, "MORE", "more").Replace(file))
	var failed *docker.ServiceError
	if err := r.do(t); !errors.As(err, &failed) || failed.Service != "web" {
		t.Errorf("up: %v, want web to be named", err)
	}
	r.compensate(t, false)
	if got := dockertest.Docker(t, "volume", "ls", "-q", "--filter", "name="+Project(r.Config, r.s)); got != volume {
		t.Errorf("volumes %q, want %q alone", got, volume)
	}
	if got := r.there(t); len(got) > 0 {
		t.Errorf("containers of %v", got)
	}
}

// TestComposeCutOff: the owner is killed in the middle of Do, once the intent is
// saved; the next one goes on, or back.
func TestComposeCutOff(t *testing.T) {
	t.Parallel()
	r := newComposeRig(t, composeConfig(settings.ModeContainer), map[string]string{"compose.yaml": `
services:
  a: {image: IMAGE}
  b: {image: IMAGE, healthcheck: {test: ["CMD", "/tool", "-health=http://127.0.0.1/"], interval: 1s, retries: 100}}
`})
	for _, after := range []time.Duration{50 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		if err := (ports{r.Target}).Do(ctx, r.attempt()); err != nil {
			t.Logf("cut off before: %v", err)
		}
		err := r.step().Do(ctx, r.attempt())
		cancel()
		if err == nil {
			t.Fatal("b got healthy")
		}
		if err := r.verify(t); err == nil {
			t.Error("verified what was cut off")
		}
		r.compensate(t, false)
		if left := r.left(t); len(left) > 0 {
			t.Errorf("still there: %v", left)
		}
	}
}

func TestComposePlan(t *testing.T) {
	for mode, want := range map[string]bool{settings.ModeHost: false, settings.ModeHybrid: true, settings.ModeContainer: true} {
		plan, err := Plan(composeConfig(mode))
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Index(composeStep) >= 0; got != want {
			t.Errorf("in mode %s the plan has a compose step: %v", mode, got)
		}
	}
}

func TestUnleased(t *testing.T) {
	cfg := composeConfig(settings.ModeContainer)
	s := session.Session{Slot: 2, Ports: map[string]int{"has": 1}}
	list := []docker.Published{
		{Name: "has", Service: "has", Container: 1, Base: 1, Protocol: "tcp"},
		{Name: "dns", Service: "dns", Container: 53, Base: 15300, Protocol: "tcp"},
		{Name: "dns", Service: "dns", Container: 53, Base: 15300, Protocol: "udp"},
		{Name: "any", Service: "any", Container: 14000, Protocol: "tcp"},
	}
	taken := map[int]string{15302: "another", 15310: "another"}
	got := unleased(t.Context(), cfg, list, s, taken, nil)
	cfg.StrictPort = true
	strict := unleased(t.Context(), cfg, list, s, taken, nil)
	if len(got) != 2 || got[0].Name != "dns" || got[1].Name != "any" {
		t.Fatalf("wants %+v", got)
	}
	if got[0].Candidates[0] != 15318 || got[1].Candidates[0] != 14002 {
		t.Errorf("wants %+v", got)
	}
	if diff := cmp.Diff([]session.Want{{Name: "dns", Taken: "15302 is taken by container another"}, {Name: "any", Candidates: []int{14002}}}, strict); diff != "" {
		t.Errorf("strict: %s", diff)
	}
	// What the file names itself is taken only where nothing else may be.
	list = append(list, docker.Published{Name: "next", Service: "next", Container: 1, Base: 14002, Protocol: "tcp"})
	cfg.StrictPort = false
	if got := unleased(t.Context(), cfg, list, s, taken, nil); slices.Contains(got[1].Candidates, 14002) || len(got[1].Candidates) == 0 {
		t.Errorf("wants %+v", got)
	}
	cfg.StrictPort = true
	if got := unleased(t.Context(), cfg, list, s, taken, nil); !slices.Equal(got[1].Candidates, []int{14002}) {
		t.Errorf("strict: wants %+v", got)
	}
}
