package session

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"ecluse/fsm"
	"ecluse/saga"
)

// Key names a session: the repository it belongs to and its slug.
type Key struct {
	// Repo is the canonical path of the repository's git common directory.
	Repo string `json:"repo"`
	Slug string `json:"slug"`
}

// Session is the durable record of one session. It is a value; only
// [Transition] makes a new one of it, and only the store writes it.
type Session struct {
	// Version is the form of the record, see RecordVersion.
	Version int `json:"v"`
	Key
	// ID is random and never used again. What the session makes carries it,
	// so that two sessions that had the same slug are told apart.
	ID string `json:"id"`
	// Root is the repository's main worktree.
	Root   string `json:"root"`
	Branch string `json:"branch"`
	// From is the commit-ish at which a new branch was asked to begin.
	From string `json:"from,omitempty"`
	Mode string `json:"mode"`
	// Worktree is the absolute path of the session's worktree.
	Worktree string    `json:"worktree"`
	Slot     int       `json:"slot"`
	State    fsm.State `json:"state"`
	// Epoch rises each time an owner takes the session over. It comes from a
	// counter of the whole store and is never used again, not even by a later
	// session of the same slug.
	Epoch uint64 `json:"epoch"`
	// Ports are the leases, by name.
	Ports map[string]int `json:"ports,omitempty"`
	// Settled is set once the session was active, or stopped: somebody relies
	// on what is there, and a later run that fails reverts only itself.
	Settled   bool      `json:"settled,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	Plan     saga.Plan     `json:"plan"`
	Progress saga.Progress `json:"progress"`
	Run      Run           `json:"run"`
	Failure  *Failure      `json:"failure,omitempty"`
	// Settings are what the steps need to know of the configuration that the
	// session was made from, as they encode it.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// RecordVersion is the form of [Session] that this version writes.
const RecordVersion = 1

// Verb is the command that a run carries out.
type Verb string

// The verbs.
const (
	VerbUp      Verb = "up"
	VerbDown    Verb = "down"
	VerbRecover Verb = "recover"
)

// Run is the current, or the last, run of a session.
type Run struct {
	ID   string `json:"id"`
	Verb Verb   `json:"verb"`
	// From is the state in which the run found the session.
	From      fsm.State `json:"from"`
	StartedAt time.Time `json:"started_at"`
	Owner     Owner     `json:"owner"`
	// Takeovers counts the owners since the run last made progress, and those of the
	// teardown that was cut off and that the run is about again.
	Takeovers int     `json:"takeovers,omitempty"`
	Options   Options `json:"options"`
	// Stop is set by a command that asks the owner to turn back.
	Stop *StopRequest `json:"stop,omitempty"`
}

// Options are what the user asked of a run. They are recorded so that whoever
// resumes the run does the same.
type Options struct {
	// KeepOnFailure leaves an up that failed as it stands, to be looked at.
	KeepOnFailure bool `json:"keep_on_failure,omitempty"`
	// Anew makes what runs anew, although it is whole.
	Anew bool `json:"anew,omitempty"`
	// KeepWorktree makes a teardown end in stopped; DeleteWorktree removes
	// also a worktree that the session did not make.
	KeepWorktree   bool `json:"keep_worktree,omitempty"`
	DeleteWorktree bool `json:"delete_worktree,omitempty"`
	// KeepVolumes leaves the data of the session's containers.
	KeepVolumes bool `json:"keep_volumes,omitempty"`
	// KeepBranch leaves the session's branch, also one that the session has made and
	// that has no commits.
	KeepBranch bool `json:"keep_branch,omitempty"`
	// NoHooks compensates hooks without running their mirrors.
	NoHooks bool `json:"no_hooks,omitempty"`
	// Abandon names steps that a teardown does not compensate any more. It must have
	// failed at them before.
	Abandon []string `json:"abandon,omitempty"`
}

// keepsSome reports whether a teardown leaves anything that a way back of the run
// itself would not.
func (o Options) keepsSome() bool { return o.KeepWorktree || o.KeepVolumes || o.KeepBranch }

// keeps reports whether a teardown leaves a step as it is.
func (o Options) keeps(spec saga.Spec) bool {
	return o.KeepWorktree && (spec.Keep || spec.Data && o.KeepVolumes)
}

// stopped reports whether a teardown with these options has nothing to do: it would
// leave all that is there. A stop that kept the data and one that does not differ.
func (s Session) stopped(o Options) bool {
	if s.State != fsm.Stopped || !o.KeepWorktree {
		return false
	}
	for i, step := range s.Progress.Steps {
		if step.Phase == saga.Done && !o.keeps(s.Plan.Steps[i]) {
			return false
		}
	}
	return true
}

// StopRequest is one command's wish that another one's run turn back.
type StopRequest struct {
	By Owner     `json:"by"`
	At time.Time `json:"at"`
	// Halt: the run is to stop where it stands, because whoever asks keeps some of
	// what it has made, and compensates the rest itself.
	Halt bool `json:"halt,omitempty"`
}

// Owner describes the process of a run. The kernel lock decides whether it is
// alive; the description explains, and aims signals.
type Owner struct {
	PID int `json:"pid"`
	// Start, Boot and Namespace tell the process from others that had or
	// will have its pid: kernel ticks since boot, boot id, pid namespace.
	Start     uint64    `json:"start"`
	Boot      string    `json:"boot"`
	Namespace string    `json:"ns"`
	Host      string    `json:"host"`
	Verb      Verb      `json:"verb"`
	Since     time.Time `json:"since"`
}

// String names the owner for messages: "up by pid 4711 since 12:03:07".
func (o Owner) String() string {
	return fmt.Sprintf("%s by pid %d since %s", o.Verb, o.PID, o.Since.Local().Format(time.TimeOnly))
}

// same reports whether two descriptions are of one process.
func (o Owner) same(other Owner) bool {
	return o.PID == other.PID && o.Start == other.Start && o.Boot == other.Boot && o.Namespace == other.Namespace
}

// Failure says why a session is failed, or why its run turned back.
type Failure struct {
	// Code is one of the Code constants.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Step that failed, if it was one.
	Step string `json:"step,omitempty"`
	// Cause is the code of a step's error that is behind it, see [saga.Coded]: the
	// step's word for why, as Message is its text. Most errors have none.
	Cause string `json:"cause,omitempty"`
}

// Title is what people call the step that failed, in the direction in which it did.
func (f Failure) Title(plan saga.Plan) string {
	if i := plan.Index(f.Step); i >= 0 && f.Code == CodeCompensationFailed {
		return plan.Steps[i].Title(saga.CompensationFailed)
	}
	return f.Step
}

// The codes of a [Failure].
const (
	CodeStepFailed         = "step-failed"
	CodeCompensationFailed = "compensation-failed"
	// CodeInterrupted: a signal ended the run.
	CodeInterrupted = "interrupted"
	// CodeStopped: a down asked the run to turn back.
	CodeStopped = "stopped"
	// CodeRollback: the user asked for it with recover --rollback.
	CodeRollback = "rollback"
	// CodeParked: too many owners died on it without progress.
	CodeParked = "parked"
)

// slugPattern is what a slug may look like.
var slugPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,60}[a-z0-9]$`)

// maxSlug is the longest slug that slugPattern admits.
const maxSlug = 62

// slugMark is how long the mark at the end of a slug is that was cut.
const slugMark = 7

// CheckSlug reports a slug that is not one; the error wraps [ErrSlug].
func CheckSlug(slug string) error {
	if !slugPattern.MatchString(slug) {
		return say(ErrSlug, "%q is no slug: it takes 2 to %d of a-z, 0-9 and -, and neither begins nor ends with -", slug, maxSlug)
	}
	return nil
}

// Slug derives a slug from the name of a branch: "Feat/Log-In" is "feat-log-in".
// Runs of other characters become one "-". What is too long is cut and ends in a mark
// of the whole name, so that two long branches that begin alike have slugs of their
// own. The error wraps [ErrSlug] when nothing usable is left.
func Slug(branch string) (string, error) {
	var b strings.Builder
	for _, r := range strings.ToLower(branch) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	slug := strings.Trim(b.String(), "-")
	if len(slug) > maxSlug {
		mark := fmt.Sprintf("-%x", sha256.Sum256([]byte(branch)))[:1+slugMark]
		slug = strings.TrimRight(slug[:maxSlug-len(mark)], "-") + mark
	}
	if CheckSlug(slug) != nil {
		return "", say(ErrSlug, "no slug can be made of branch %q; a slug takes at least 2 of a-z and 0-9 from the branch's name, so give it another one", branch)
	}
	return slug, nil
}
