package cli

import (
	"cmp"
	"slices"
	"time"

	"ecluse/fsm"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/settings"
)

// listView is a session in the JSON of ls.
type listView struct {
	sessionView
	formerView
}

// formerView are keys of the original tool's ls, for scripts that read them.
type formerView struct {
	// Status is pending, stopped or failed; it is not there when the session is active.
	Status string `json:"status,omitempty"`
	// PendingOp is the run that a pending session is in.
	PendingOp *pendingView `json:"pending_op,omitempty"`
	// ComposeProject is the first of the session, null in host mode.
	ComposeProject *string `json:"compose_project"`
	// AppPort is the port of the first native service, in container mode of the first
	// service; null if there is none.
	AppPort *int `json:"app_port"`
	// PortOverrides are the same as ports.
	PortOverrides portMap `json:"port_overrides"`
	// ProcessManager says where native services run: detached, tmux or none.
	ProcessManager string  `json:"process_manager"`
	TmuxSession    *string `json:"tmux_session"`
	// ServicesSubset are the services that were chosen with --services.
	ServicesSubset []string `json:"services_subset,omitempty"`
	// ListeningPorts are those on which native services really listen.
	ListeningPorts []int `json:"listening_ports"`
	// PortMismatch: native services listen, and not on every port that is theirs.
	PortMismatch bool `json:"port_mismatch"`
}

type pendingView struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
}

// former says what of a session the original tool's keys say. Listening are the ports
// of its native services that run.
func former(s session.Session, listening map[string][]int) (formerView, error) {
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return formerView{}, err
	}
	v := formerView{
		PortOverrides: ports(s), TmuxSession: known(steps.TmuxName(s)), ProcessManager: cmp.Or(cfg.ProcessManager, settings.ManagerDetached),
		ServicesSubset: cfg.Choice.Only, ListeningPorts: []int{}, AppPort: appPort(cfg, s),
	}
	switch {
	case s.State.Pending():
		v.Status, v.PendingOp = "pending", &pendingView{s.Run.ID, s.Run.Owner.Since}
	case s.State != fsm.Active:
		v.Status = string(s.State)
	}
	if cfg.Mode != settings.ModeHost {
		v.ComposeProject = known(steps.Project(cfg, s))
	}
	for service, list := range listening {
		v.ListeningPorts = append(v.ListeningPorts, list...)
		port := s.Ports[service]
		v.PortMismatch = v.PortMismatch || port != 0 && !slices.Contains(list, port)
	}
	slices.Sort(v.ListeningPorts)
	v.ListeningPorts = slices.Compact(v.ListeningPorts)
	v.PortMismatch = v.PortMismatch && len(v.ListeningPorts) > 0
	return v, nil
}

// appPort is the port of the application: of the first native service, and in container
// mode of the first service; nil if there is none.
func appPort(cfg settings.Config, s session.Session) *int {
	for _, service := range cfg.Services {
		if port := s.Ports[service.Name]; port != 0 && (service.Run != "docker" || cfg.Mode == settings.ModeContainer) {
			return &port
		}
	}
	return known(s.Ports["app"])
}
