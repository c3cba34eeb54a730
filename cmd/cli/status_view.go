package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/steps"
	"ecluse/steps/look"
)

// statusResult is what status prints with --json. Its keys are those of the original
// tool, and more.
type statusResult struct {
	Slug        string        `json:"slug"`
	Slot        int           `json:"slot"`
	AllHealthy  bool          `json:"all_healthy"`
	TmuxSession *string       `json:"tmux_session"`
	Services    []serviceView `json:"services"`
	Drift       []driftView   `json:"drift"`

	Repo        string     `json:"repo"`
	Branch      string     `json:"branch"`
	Mode        string     `json:"mode"`
	Worktree    string     `json:"worktree_path"`
	State       string     `json:"state"`
	Interrupted bool       `json:"interrupted"`
	Owner       *ownerView `json:"owner"`
	Step        *stepView  `json:"step"`
	Error       *shown     `json:"error"`
}

// serviceView is one service. What is not known, or does not apply, is null.
type serviceView struct {
	Name            string        `json:"name"`
	Type            string        `json:"type"`
	Port            *int          `json:"port"`
	Healthy         bool          `json:"healthy"`
	Managed         bool          `json:"managed"`
	PID             *int          `json:"pid"`
	TmuxWindow      *string       `json:"tmux_window"`
	ListenerPID     *int          `json:"listener_pid"`
	WrongOwner      bool          `json:"wrong_owner"`
	ActualPort      *int          `json:"actual_port"`
	ListeningPorts  []int         `json:"listening_ports"`
	PortMismatch    bool          `json:"port_mismatch"`
	ConflictingSlot *conflictView `json:"conflicting_slot"`
	Hint            *string       `json:"hint"`
	State           string        `json:"state"`
	Step            *string       `json:"step"`
	Container       *string       `json:"container"`
	Problem         *string       `json:"problem"`
}

type conflictView struct {
	Slot    int     `json:"slot"`
	Session *string `json:"session"`
}

type driftView struct {
	Step    string `json:"step"`
	Problem string `json:"problem"`
}

// known is a value that is there unless it is zero.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orZero is what is known, else zero.
func orZero[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}

// statusResult describes what was seen; state is why the session is not active.
func (a *app) statusResult(l seen, state error) statusResult {
	v := a.view(l.Status, time.Now())
	r := statusResult{
		Slug: l.Slug, Slot: l.Slot, AllHealthy: l.healthy(), TmuxSession: known(steps.TmuxName(l.Session)), Services: []serviceView{}, Drift: []driftView{},
		Repo: l.Repo, Branch: l.Branch, Mode: l.Mode, Worktree: l.Worktree, State: v.State, Interrupted: v.Interrupted,
		Owner: v.Owner, Step: v.Step, Error: v.Error,
	}
	if r.Error == nil {
		r.Error = a.errorOf(state)
	}
	for _, one := range l.services {
		r.Services = append(r.Services, l.serviceView(one))
	}
	for _, one := range l.drift {
		r.Drift = append(r.Drift, driftView(one))
	}
	return r
}

// serviceView describes a service.
func (l seen) serviceView(s look.Service) serviceView {
	v := serviceView{
		Name: s.Name, Type: typeOf(s), Port: known(s.Port), Healthy: s.Healthy, Managed: s.Managed, PID: known(s.PID),
		ListenerPID: known(s.ListenerPID), WrongOwner: s.Strange, ActualPort: known(s.ActualPort),
		ListeningPorts: append([]int{}, s.Listening...), Hint: known(portHint(l.Session, s)),
		State: s.State, Step: known(s.Step), Container: known(s.Container), Problem: known(s.Problem),
	}
	if s.Native && s.Managed && steps.TmuxName(l.Session) != "" {
		v.TmuxWindow = known(s.Name)
	}
	v.PortMismatch = s.Managed && s.Port != 0 && len(s.Listening) > 0 && !slices.Contains(s.Listening, s.Port)
	if c := s.Conflict; c != nil {
		v.ConflictingSlot = &conflictView{c.Slot, known(c.Session)}
	}
	return v
}

func typeOf(s look.Service) string {
	if s.Native {
		return "native"
	}
	return "docker"
}

// writeStatus shows what was seen to people.
func (a *app) writeStatus(l seen) error {
	v := a.view(l.Status, time.Now())
	state := v.State
	if step := stepColumn(v); step != "" && l.State != fsm.Active {
		state += " (" + step + ")"
	}
	for _, line := range [][2]string{
		{"slug", l.Slug}, {"state", state}, {"slot", strconv.Itoa(l.Slot)}, {"branch", l.Branch}, {"worktree", l.Worktree},
		{"tmux", steps.TmuxName(l.Session)},
		{"failure", v.failure()}, {"log", v.log()},
	} {
		if line[1] == "" {
			continue
		}
		if err := a.print("%-8s  %s\n", line[0], strings.ReplaceAll(line[1], "\n", "\n          ")); err != nil {
			return err
		}
	}
	if err := a.print("\n"); err != nil {
		return err
	}
	if len(l.services) > 0 {
		table := a.table(display.Column{Head: "SERVICE"}, display.Column{Head: "TYPE", Drop: 2}, display.Column{Head: "PORT", Right: true},
			display.Column{Head: "STATUS", Min: 12}, display.Column{Head: "PID", Right: true, Drop: 1})
		for _, s := range l.services {
			style, text := statusColumn(s)
			table.Row(style, s.Name, typeOf(s), number(s.Port), text, number(s.PID))
		}
		if err := table.Write(a.Stdout); err != nil {
			return err
		}
	}
	return a.writeDrift(l)
}

// failure says why a session failed: "hook:post_up: exit status 1".
func (v sessionView) failure() string {
	if v.Error == nil {
		return ""
	}
	return strings.Trim(v.failed+": "+v.Error.Message, ": ")
}

// log is where the step wrote to that a session failed at.
func (v sessionView) log() string {
	if v.Error == nil {
		return ""
	}
	return v.Error.Log
}

// writeDrift says in words what is wrong with services and steps.
func (a *app) writeDrift(l seen) error {
	var lines []string
	told := map[string]bool{}
	for _, s := range l.unhealthy() {
		if s.Problem != "" && (l.State == fsm.Active || s.Strange) {
			lines = append(lines, fmt.Sprintf("✗ %s: %s", s.Name, s.Problem))
			told[s.Step] = true
		}
	}
	for _, d := range l.drift {
		if !told[d.Step] {
			lines = append(lines, fmt.Sprintf("✗ step %s: %s", d.Step, d.Problem))
		}
	}
	for i, line := range lines {
		if i == 0 && len(l.services) > 0 {
			line = "\n" + line
		}
		if err := a.print("%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

// statusColumn is the state of a service in a few words.
func statusColumn(s look.Service) (display.Style, string) {
	switch {
	case !s.Managed:
		return display.Dim, "—"
	case s.Healthy:
		return display.Normal, "✓ " + s.State
	case s.State == look.NotStarted:
		return display.Dim, "✗ not started"
	case s.State == look.WrongOwner:
		return display.Red, fmt.Sprintf("✗ wrong owner (PID %d)", s.ListenerPID)
	case s.State == look.WrongPort && s.ActualPort != 0:
		text := fmt.Sprintf("✗ wrong port %d", s.ActualPort)
		if s.Conflict != nil {
			text += " (" + slotOf(s.Conflict) + ")"
		}
		return display.Red, text
	default:
		return display.Red, "✗ " + s.State
	}
}

// number is a number in a cell.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
