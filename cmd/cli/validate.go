package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"ecluse/cmd/display"
	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/config"
	"ecluse/steps/git"
	"ecluse/steps/port"
	"ecluse/steps/settings"
)

func newValidate(a *app) *cobra.Command {
	var table bool
	cmd := &cobra.Command{
		Use: "validate", GroupID: groupRepo, Short: "check the configuration, and say all that is wrong with it",
		Long: `Check .ecluse.toml, the configuration of the user, and that the process manager
is there. Every problem is named with its line, all at once, and what is allowed
and probably not meant is warned of. Nothing is changed.

--ports shows the port that each service has in each slot. An up takes another
one where that is not free: those that a session or a program has are marked.

Exit status 3: something is wrong with a configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.validate(cmd.Context(), table) },
	}
	cmd.Flags().BoolVar(&table, "ports", false, "show the port of each service in each slot")
	return cmd
}

// validateResult is what validate prints with --json.
type validateResult struct {
	Path            string            `json:"path"`
	Valid           bool              `json:"valid"`
	Problems        []problemView     `json:"problems"`
	Warnings        []string          `json:"warnings"`
	Mode            string            `json:"mode"`
	MaxSlots        int               `json:"max_slots"`
	StrictPort      bool              `json:"strict_port"`
	PortSearchRange int               `json:"port_search_range"`
	SlotStride      int               `json:"slot_stride"`
	ProcessManager  string            `json:"process_manager"`
	Services        []serviceBaseView `json:"services"`
	// Slots is there with --ports.
	Slots []slotView `json:"slots,omitempty"`
	Error *shown     `json:"error"`
}

// problemView is a problem with one of the files.
type problemView struct {
	Path string `json:"path"`
	config.Problem
}

// serviceBaseView is a port that every session has, or a service that has none.
type serviceBaseView struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// BasePort and Slot1, the port of slot 1, are null where there is no port, or none
	// that is known here.
	BasePort *int `json:"base_port"`
	Slot1    *int `json:"slot_1"`
}

// slotView is one slot with the session that has it, if one has.
type slotView struct {
	Slot    int        `json:"slot"`
	Session *string    `json:"session"`
	Ports   []portView `json:"ports"`
}

// portView is a port of a slot, and who has it: a session, or another program. It is
// free if nobody has, and Own if this slot's session has.
type portView struct {
	Name    string  `json:"name"`
	Port    int     `json:"port"`
	Own     bool    `json:"own"`
	Session *string `json:"session"`
	Taken   bool    `json:"taken"`
}

func (a *app) validate(ctx context.Context, table bool) error {
	repo, err := a.repository(ctx)
	if err != nil {
		return err
	}
	r := validateResult{
		Path: filepath.Join(repo.Root, config.Name), Problems: []problemView{}, Warnings: []string{}, Services: []serviceBaseView{},
	}
	cfg, err := steps.LoadConfig(repo.Root)
	user, userErr := settings.LoadUser(a.Getenv)
	if err := r.problems(err, userErr); err != nil {
		return configError{err}
	}
	if len(r.Problems) > 0 {
		err = configError{errors.Join(err, userErr)}
		if a.json {
			r.Error = a.errorOf(err)
			if err := writeJSON(a.Stdout, r); err != nil {
				return err
			}
			a.complain(err)
			return silentError{err}
		}
		return err
	}
	cfg.ProcessManager = user.ProcessManager
	if err := steps.CheckManager(ctx, cfg); err != nil {
		return err
	}
	if err := a.describe(ctx, repo, cfg, table, &r); err != nil {
		return err
	}
	if a.json {
		return writeJSON(a.Stdout, r)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.Stderr, "warning: %s\n", warning)
	}
	return a.writeValid(r)
}

// problems takes the problems out of errors, and returns one that has none: a file that
// is not there, or cannot be read.
func (r *validateResult) problems(list ...error) error {
	for _, err := range list {
		var wrong *config.Error
		switch {
		case errors.As(err, &wrong):
			for _, p := range wrong.Problems {
				r.Problems = append(r.Problems, problemView{wrong.Path, p})
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// describe says what a valid configuration amounts to.
func (a *app) describe(ctx context.Context, repo git.Repo, cfg settings.Config, table bool, r *validateResult) error {
	r.Valid, r.Mode, r.MaxSlots, r.StrictPort = true, cfg.Mode, cfg.MaxSlots, cfg.StrictPort
	r.PortSearchRange, r.SlotStride, r.ProcessManager = cfg.PortSearchRange, cfg.SlotStride, cfg.ProcessManager
	r.Warnings = append(r.Warnings, slices.Concat(cfg.Warnings(), steps.Outside(ctx, cfg, repo.Root))...)
	ports, err := steps.Nominals(ctx, cfg, repo.Root)
	if err != nil {
		r.Warnings = append(r.Warnings, fmt.Sprintf("of what runs in Docker nothing is known here: %v", err))
	}
	for _, p := range ports {
		kind := "docker"
		if p.Native {
			kind = "native"
		}
		r.Services = append(r.Services, serviceBaseView{p.Name, kind, known(p.Port(0)), known(p.Port(1))})
	}
	r.portless(cfg)
	if !table {
		return nil
	}
	return a.slots(repo, cfg, ports, r)
}

// portless adds the services without a port, and those in Docker of which the compose
// file says nothing.
func (r *validateResult) portless(cfg settings.Config) {
	for _, s := range cfg.Services {
		named := func(other serviceBaseView) bool { return other.Name == s.Name }
		if !slices.ContainsFunc(r.Services, named) {
			r.Services = append(r.Services, serviceBaseView{Name: s.Name, Type: cmp.Or(s.Run, "native")})
		}
	}
}

// slots fills the table of slots and ports.
func (a *app) slots(repo git.Repo, cfg settings.Config, ports []steps.Nominal, r *validateResult) error {
	st, err := a.openStore()
	if err != nil {
		return err
	}
	all, err := st.List()
	if err != nil {
		return err
	}
	leases, err := st.Leases()
	if err != nil {
		return err
	}
	holders := map[int]session.Session{}
	for _, s := range all {
		if s.Repo == repo.CommonDir {
			holders[s.Slot] = s
		}
	}
	for slot := 1; slot <= cfg.MaxSlots; slot++ {
		holder := holders[slot]
		view := slotView{Slot: slot, Session: known(holder.Slug), Ports: []portView{}}
		for _, nominal := range ports {
			number := nominal.Port(slot)
			p := portView{Name: nominal.Name, Port: number}
			if by, leased := leases[number]; leased {
				p.Session, p.Own = known(by.Slug), by == holder.Key
			} else {
				p.Taken = number > port.Max || !port.Free(number)
			}
			view.Ports = append(view.Ports, p)
		}
		r.Slots = append(r.Slots, view)
	}
	return nil
}

// writeValid shows what a valid configuration amounts to, to people.
func (a *app) writeValid(r validateResult) error {
	search := fmt.Sprintf("%d", r.PortSearchRange)
	if r.StrictPort {
		search = "none (strict_port)"
	}
	err := a.print("%s is valid\n  mode             %s\n  max_slots        %d\n  further ports    %s\n  process manager  %s\n",
		r.Path, r.Mode, r.MaxSlots, search, r.ProcessManager)
	if err != nil || len(r.Services) == 0 {
		return err
	}
	if len(r.Slots) > 0 {
		return a.writeSlots(r)
	}
	if err := a.print("\n"); err != nil {
		return err
	}
	t := a.table(display.Column{Head: "SERVICE"}, display.Column{Head: "TYPE"}, display.Column{Head: "BASE", Right: true}, display.Column{Head: "SLOT 1", Right: true})
	for _, s := range r.Services {
		t.Row(display.Normal, s.Name, s.Type, number(orZero(s.BasePort)), number(orZero(s.Slot1)))
	}
	return t.Write(a.Stdout)
}

// writeSlots shows the table of slots and ports.
func (a *app) writeSlots(r validateResult) error {
	if err := a.print("\n"); err != nil {
		return err
	}
	columns := []display.Column{{Head: "SLOT", Right: true}, {Head: "SESSION"}}
	for _, p := range r.Slots[0].Ports {
		columns = append(columns, display.Column{Head: p.Name, Right: true})
	}
	t := a.table(columns...)
	var notes []string
	for _, slot := range r.Slots {
		holder, style := "-", display.Normal
		if slot.Session != nil {
			holder, style = *slot.Session, display.Dim
		}
		cells := []string{strconv.Itoa(slot.Slot), holder}
		for _, p := range slot.Ports {
			cell := strconv.Itoa(p.Port)
			switch {
			case p.Session != nil && !p.Own:
				cell += "*"
				notes = append(notes, fmt.Sprintf("* %d is leased to session %s", p.Port, *p.Session))
			case p.Taken:
				cell += "!"
				notes = append(notes, fmt.Sprintf("! %d is not free: another program listens there", p.Port))
			}
			cells = append(cells, cell)
		}
		t.Row(style, cells...)
	}
	if err := t.Write(a.Stdout); err != nil {
		return err
	}
	for _, note := range notes {
		if err := a.print("%s\n", note); err != nil {
			return err
		}
	}
	return nil
}
