package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ecluse/cmd/display"
	"ecluse/fsm"
	"ecluse/saga"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/look"
)

// portMap are the leases of a session, by name; an object also when empty.
type portMap map[string]int

// ports are the leases of a session, never nil.
func ports(s session.Session) portMap {
	if s.Ports == nil {
		return portMap{}
	}
	return s.Ports
}

// portList is "api=3001 db=5433", in the order of the names.
func portList(ports map[string]int) string {
	var list []string
	for name, port := range ports {
		list = append(list, fmt.Sprintf("%s=%d", name, port))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// sessionView is what ls shows of a session, in JSON beside the [formerView].
type sessionView struct {
	failed      string     // what people call the step that failed
	Repo        string     `json:"repo"`
	Slug        string     `json:"slug"`
	Branch      string     `json:"branch"`
	Slot        int        `json:"slot"`
	Mode        string     `json:"mode"`
	State       string     `json:"state"`
	Interrupted bool       `json:"interrupted"`
	Rebooted    bool       `json:"rebooted"`
	RepoGone    bool       `json:"repo_gone"`
	Dead        []string   `json:"dead"`
	Owner       *ownerView `json:"owner"`
	Step        *stepView  `json:"step"`
	Steps       []stepView `json:"steps"`
	Ports       portMap    `json:"ports"`
	Worktree    string     `json:"worktree_path"`
	Root        string     `json:"root"`
	StartedAt   time.Time  `json:"started_at"`
	Error       *shown     `json:"error"`
}

// ownerView is the process of a run.
type ownerView struct {
	PID   int       `json:"pid"`
	Alive bool      `json:"alive"`
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// stepView is a step of the plan. Index, Total and Elapsed are only given for the
// step in hand.
type stepView struct {
	title     string     // what people call it now
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`
	Index     int        `json:"index,omitempty"`
	Total     int        `json:"total,omitempty"`
	Phase     string     `json:"phase"`
	Attempt   int        `json:"attempt"`
	ElapsedMS *int64     `json:"elapsed_ms,omitempty"`
	StartedAt *time.Time `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Error     string     `json:"error,omitempty"`
}

// view describes a session at a moment.
func (a *app) view(st session.Status, now time.Time) sessionView {
	s := st.Session
	v := sessionView{
		Repo: s.Repo, Slug: s.Slug, Branch: s.Branch, Slot: s.Slot, Mode: s.Mode, State: string(s.State),
		Interrupted: st.Interrupted, Ports: ports(s), Worktree: s.Worktree, Root: s.Root, StartedAt: s.CreatedAt,
		Dead: []string{}, Steps: []stepView{}, RepoGone: !exists(s.Repo),
	}
	for i := range s.Plan.Steps {
		v.Steps = append(v.Steps, viewStep(s, i))
	}
	if i := session.Current(s); i >= 0 && s.State != fsm.Active {
		step := viewStep(s, i)
		step.Index, step.Total = i+1, len(s.Plan.Steps)
		elapsed := s.Progress.Steps[i].EndedAt.Sub(s.Progress.Steps[i].StartedAt).Milliseconds()
		if s.Progress.Steps[i].Phase.Running() {
			elapsed = now.Sub(s.Progress.Steps[i].StartedAt).Milliseconds()
		}
		step.ElapsedMS = &elapsed
		v.Step = &step
	}
	switch {
	case st.Owner != nil:
		v.Owner = &ownerView{st.Owner.PID, true, string(st.Owner.Verb), st.Owner.Since}
	case st.Interrupted:
		o := s.Run.Owner
		v.Owner = &ownerView{o.PID, false, string(o.Verb), o.Since}
	}
	if s.State == fsm.Active {
		v.Rebooted = steps.Rebooted(s.Run.Owner)
		v.Dead = append(v.Dead, look.Dead(s)...)
	}
	if f := s.Failure; f != nil && s.State == fsm.Failed {
		v.Error = &shown{Code: f.Code, Message: f.Message, Step: f.Step, Cause: f.Cause, Session: s.Slug, State: string(s.State),
			Left: s.Progress.Remaining(s.Plan)}
		v.failed = f.Title(s.Plan)
		if f.Step != "" {
			v.Error.Log = a.logOf(&session.RunError{Session: s, Failure: *f})
		}
		v.Error.advise(failedHints(s))
		a.place(v.Error, s)
	}
	return v
}

// viewStep describes step i.
func viewStep(s session.Session, i int) stepView {
	spec, state := s.Plan.Steps[i], s.Progress.Steps[i]
	v := stepView{title: spec.Title(state.Phase), Name: spec.Name, Kind: spec.Kind, Phase: string(state.Phase), Attempt: state.Attempt}
	if state.Phase.Back() {
		v.Attempt = state.Compensation
	}
	if !state.StartedAt.IsZero() {
		v.StartedAt = &state.StartedAt
	}
	if !state.EndedAt.IsZero() {
		v.EndedAt = &state.EndedAt
	}
	if state.Phase == saga.Failed || state.Phase == saga.CompensationFailed {
		v.Error = state.Err
	}
	return v
}

// stepColumn says in a few words what is going on: "3/6 compose 41s",
// "interrupted at compose", "✗ hook:post_up", "✗ api down".
func stepColumn(v sessionView) string {
	switch {
	case v.Interrupted && v.Step != nil:
		return "interrupted at " + v.Step.title
	case v.Interrupted:
		return "interrupted"
	case v.State == string(fsm.Failed) && v.failed != "":
		return "✗ " + v.failed
	case v.Step != nil && v.Owner != nil:
		elapsed := time.Duration(*v.Step.ElapsedMS) * time.Millisecond
		return fmt.Sprintf("%d/%d %s %s", v.Step.Index, v.Step.Total, v.Step.title, display.Seconds(elapsed))
	case v.RepoGone:
		return "✗ repository gone"
	case v.Rebooted && len(v.Dead) == 0:
		return "✗ machine was rebooted"
	case len(v.Dead) > 0:
		return "✗ " + strings.Join(v.Dead, ", ") + " down"
	}
	return ""
}
