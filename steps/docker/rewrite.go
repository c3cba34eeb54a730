package docker

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Labels of everything that is made for a session.
const (
	LabelRepo    = "ecluse.repo"
	LabelSession = "ecluse.session"
	LabelSlug    = "ecluse.slug"
	LabelSlot    = "ecluse.slot"
	LabelRun     = "ecluse.run"
	// LabelStep is the step that made it: a session may have several.
	LabelStep = "ecluse.step"
)

// Rewriting is what makes a model one session's own.
type Rewriting struct {
	// Leases are host ports, by the names that Published gives.
	Leases map[string]int
	// Labels of everything. They must not change between two runs of one
	// session: Compose makes anew what has other labels.
	Labels map[string]string
}

// Rewritten is the private compose file of a session.
type Rewritten struct {
	// File is its text. It refers to no variables and no other compose files.
	File []byte
	// Services are what must be there once it is up.
	Services []Service
	// Env holds the variables that its secrets are taken from. They are not
	// in the file.
	Env []string
	// Warnings say what the session shares with others all the same.
	Warnings []string
}

// Service is what a service of a session must look like once it is up.
type Service struct {
	Name     string `json:"name"`
	Replicas int    `json:"replicas"`
	// Ends: others wait for it to succeed.
	Ends bool `json:"ends,omitempty"`
	// Serves: it has a health check or publishes a port, so it must not end.
	Serves bool `json:"serves,omitempty"`
	// Stage is when its image is built, if others are built from it: 1 is
	// first. Image is the image's name then.
	Stage int       `json:"stage,omitempty"`
	Image string    `json:"image,omitempty"`
	Ports []Binding `json:"ports,omitempty"`
}

// Binding is a port of a container and the host port that leads to it.
type Binding struct {
	Host      int    `json:"host"`
	Container int    `json:"container"`
	Protocol  string `json:"protocol"`
}

// rewriter is the scratch space of one rewriting.
type rewriter struct {
	Rewriting
	m        *Model
	project  *types.Project
	images   map[string]string   // by the image that is named in the file, see canonical
	from     map[string][]string // the services that a service is built from
	dropped  map[string]bool     // networks whose fixed addresses are dropped
	services []Service
}

// Rewrite makes the private compose file of one session. The error wraps
// [ErrNoLease] when something is published for which there is no lease.
func (m *Model) Rewrite(r Rewriting) (*Rewritten, error) {
	out := *m
	out.Warnings = slices.Clone(m.Warnings)
	w := &rewriter{
		Rewriting: r, m: &out, dropped: map[string]bool{}, from: map[string][]string{},
		project: m.project.WithServicesDisabled().WithoutUnresolvedOptionalDependencies(),
	}
	w.images = w.sessionImages()
	w.networks()
	w.volumes()
	w.files()
	for _, name := range m.Services() {
		s := w.project.Services[name]
		if err := w.service(&s); err != nil {
			return nil, err
		}
		w.project.Services[name] = s
	}
	w.stages()
	file, err := encode(w.project)
	if err != nil {
		return nil, err
	}
	return &Rewritten{File: file, Services: w.services, Env: w.environment(), Warnings: out.Warnings}, nil
}

// service rewrites one service.
func (w *rewriter) service(s *types.ServiceConfig) error {
	expected := Service{Name: s.Name, Replicas: replicas(*s), Ends: w.waitedFor(s.Name)}
	if err := w.ports(s, &expected); err != nil {
		return err
	}
	check := s.HealthCheck
	expected.Serves = len(expected.Ports) > 0 || check != nil && !check.Disable
	w.services = append(w.services, expected)

	w.names(s)
	w.addresses(s)
	w.image(s)
	w.mounts(s)
	s.Labels = w.labelled(s.Labels)
	// Compose activates profiles by name; here is only what is active.
	s.Profiles = nil
	if s.Provider != nil {
		w.services[len(w.services)-1].Replicas = 0 // it is no container
		w.m.Warn("service %s is run by the provider %s, which may share it between sessions", s.Name, s.Provider.Type)
	}
	return nil
}

// waitedFor reports whether another service starts only after this one succeeded.
func (w *rewriter) waitedFor(name string) bool {
	for _, s := range w.project.Services {
		if on, ok := s.DependsOn[name]; ok && on.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

// ports puts the leases in the place of what the file publishes.
func (w *rewriter) ports(s *types.ServiceConfig, expected *Service) error {
	if hostNetwork(*s) {
		w.m.Warn("service %s uses the network of the host: its ports are not the session's own", s.Name)
		return nil
	}
	if replicas(*s) > 1 {
		for i := range s.Ports {
			w.m.Warn("service %s has %d containers: Docker chooses the host ports for %d", s.Name, replicas(*s), s.Ports[i].Target)
			s.Ports[i].Published = ""
		}
		return nil
	}
	theirs := slices.Clone(s.Ports)
	s.Ports = nil
	for _, p := range w.m.publishedBy(w.m.project.Services[s.Name]) {
		lease, ok := w.Leases[p.Name]
		if !ok {
			return fmt.Errorf("service %s publishes port %d (%s): %w", s.Name, p.Container, p.Name, ErrNoLease)
		}
		port := types.ServicePortConfig{Mode: "ingress"}
		if i := slices.IndexFunc(theirs, p.is); i >= 0 {
			port = theirs[i]
			theirs = slices.Delete(theirs, i, i+1)
		}
		port.HostIP, port.Target, port.Published, port.Protocol = p.HostIP, uint32(p.Container), strconv.Itoa(lease), p.Protocol
		s.Ports = append(s.Ports, port)
		expected.Ports = append(expected.Ports, Binding{Host: lease, Container: p.Container, Protocol: p.Protocol})
	}
	return nil
}

// names leaves the container's name to Compose. Others in its networks still find
// it by the name in the file.
func (w *rewriter) names(s *types.ServiceConfig) {
	if s.ContainerName == "" {
		return
	}
	for key, network := range s.Networks {
		if network == nil {
			network = &types.ServiceNetworkConfig{}
		}
		if !slices.Contains(network.Aliases, s.ContainerName) && s.ContainerName != s.Name {
			network.Aliases = append(network.Aliases, s.ContainerName)
		}
		s.Networks[key] = network
	}
	s.ContainerName = ""
}

// sessionImages names the images that are built here, by what the file calls
// them.
func (w *rewriter) sessionImages() map[string]string {
	images := map[string]string{}
	for _, name := range w.m.Services() {
		s := w.project.Services[name]
		if s.Build == nil || s.Image == "" {
			continue
		}
		if image := canonical(s.Image); images[image] == "" {
			images[image] = imageName(w.project.Name, name)
		}
	}
	return images
}

// imageRuns finds what may not stand between two parts of an image's name.
var imageRuns = regexp.MustCompile(`[^a-z0-9-]+`)

// imageName is the name of the image that is built for a service. A service may be
// called what an image may not.
func imageName(project, service string) string {
	plain := project + "-" + service
	name := plainName(plain)
	if name == plain {
		return name
	}
	return fmt.Sprintf("%s-%x", name, sha256.Sum256([]byte(plain)))[:len(name)+9]
}

// plainName is what is left of a name in that of an image.
func plainName(name string) string {
	name = strings.Trim(imageRuns.ReplaceAllString(strings.ToLower(name), "_"), "_-")
	return strings.NewReplacer("-_", "-", "_-", "-").Replace(name)
}

// image gives what is built a name of the session's own, so that two branches
// never share a tag, and has others use it.
func (w *rewriter) image(s *types.ServiceConfig) {
	if own, ok := w.images[canonical(s.Image)]; ok && s.Image != "" {
		s.Image = own
		w.unpulled(s)
	}
	if s.Build == nil {
		return
	}
	s.Image = either(s.Image, imageName(w.project.Name, s.Name))
	w.unpulled(s)
	s.Build.Tags = nil
	s.Build.Labels = w.labelled(s.Build.Labels)
	others := w.others(s.Name)
	for name, context := range s.Build.AdditionalContexts {
		if image, ok := strings.CutPrefix(context, "docker-image://"); ok && others[canonical(image)] != "" {
			s.Build.AdditionalContexts[name] = "docker-image://" + others[canonical(image)]
			w.standsOn(s, canonical(image))
		}
	}
	w.base(s)
}

// unpulled keeps Compose from asking a registry for an image of that name before
// it is built: none of ours is there, and what is there is not ours.
func (w *rewriter) unpulled(s *types.ServiceConfig) {
	if s.Build == nil || s.PullPolicy != types.PullPolicyBuild {
		s.PullPolicy = types.PullPolicyNever
	}
	s.PullRefreshAfter = ""
}

// labelled adds the session's labels to others.
func (w *rewriter) labelled(labels types.Labels) types.Labels {
	all := types.Labels{}
	maps.Copy(all, labels)
	maps.Copy(all, w.Labels)
	return all
}
