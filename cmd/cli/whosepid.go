package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/steps/look"
)

// maxPID is above every pid that Linux gives (2^22).
const maxPID = 1 << 22

func newWhosePID(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "whose-pid PID", GroupID: groupLook, Short: "tell which session a process belongs to",
		Long: `Tell which session a process belongs to, of all repositories on this machine: by the
mark in the environment of what a session starts, by the recorded process of a
service that it descends from, or by the container that it runs in.

Exit status 0: it belongs to one. 1: it belongs to none, or there is no such
process. Anything else: the question could not be answered.`,
		Example: `  ecluse whose-pid 4711
  ecluse whose-pid "$(lsof -t -i :3000)" --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil || pid < 1 || pid > maxPID {
				return usagef("%q is no pid: it takes a number from 1 to %d", args[0], maxPID)
			}
			return a.whosePID(cmd.Context(), pid)
		},
	}
}

// whoseResult is what whose-pid prints with --json; its keys are those of the original
// tool, and more. Of a process that belongs to nobody only pid and owned are there.
type whoseResult struct {
	PID       int    `json:"pid"`
	Owned     bool   `json:"owned"`
	Repo      string `json:"repo,omitempty"`
	Root      string `json:"root,omitempty"`
	Slug      string `json:"slug,omitempty"`
	Slot      int    `json:"slot,omitempty"`
	State     string `json:"state,omitempty"`
	Step      string `json:"step,omitempty"`
	Service   string `json:"service,omitempty"`
	Port      int    `json:"port,omitempty"`
	Container string `json:"container,omitempty"`
}

func (a *app) whosePID(ctx context.Context, pid int) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	all, err := st.List()
	if err != nil {
		return err
	}
	b, owned, err := look.Whose(ctx, pid, all)
	if err != nil {
		return fmt.Errorf("find out whose pid %d is: %w", pid, err)
	}
	if !owned {
		if a.json {
			err = writeJSON(a.Stdout, whoseResult{PID: pid})
		} else {
			err = a.print("pid %d belongs to no session\n", pid)
		}
		if err != nil {
			return err
		}
		return silentError{noError{errors.New("it belongs to no session")}}
	}
	s := b.Session
	if a.json {
		return writeJSON(a.Stdout, whoseResult{
			PID: pid, Owned: true, Repo: s.Repo, Root: s.Root, Slug: s.Slug, Slot: s.Slot, State: string(s.State),
			Step: b.Step, Service: b.Service, Port: b.Port, Container: b.Container,
		})
	}
	return a.print("pid %d belongs to session %s of %s, slot %d%s\n", pid, s.Slug, s.Root, s.Slot, partOf(b))
}

// partOf says what of the session a process is.
func partOf(b look.Belonging) string {
	var parts []string
	switch {
	case b.Service != "":
		parts = append(parts, "service "+b.Service)
	case b.Step != "":
		parts = append(parts, "step "+b.Step)
	}
	if b.Port != 0 {
		parts = append(parts, fmt.Sprintf("port %d", b.Port))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}
