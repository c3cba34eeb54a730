package cli

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/settings"
)

// choiceFlags are the flags of up that a session remembers.
type choiceFlags struct {
	services, skip, ports []string
	noInherit             bool
	// said reports whether a flag was given.
	said func(flag string) bool
}

// add adds the flags.
func (o *choiceFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	o.said = f.Changed
	f.StringSliceVar(&o.services, "services", nil, "run only the services `NAME,...`, and what they depend on in Docker; the others keep their ports")
	f.StringSliceVar(&o.skip, "skip", nil, "run all services but `NAME,...`")
	f.StringArrayVar(&o.ports, "port", nil, "lease `NAME=PORT`: this port and no other; may be repeated")
	f.BoolVar(&o.noInherit, "no-inherit-env", false, "carry no files of the main worktree over")
}

// choice is what the flags say.
func (o *choiceFlags) choice() (settings.Choice, error) {
	c := settings.Choice{NoInherit: o.noInherit}
	var err error
	if c.Only, err = o.names("services", o.services); err != nil {
		return c, err
	}
	if c.Skip, err = o.names("skip", o.skip); err != nil {
		return c, err
	}
	for _, pin := range o.ports {
		name, text, ok := strings.Cut(pin, "=")
		number, err := strconv.Atoi(text)
		switch {
		case !ok || name == "" || err != nil:
			return c, usagef("--port %q: it takes NAME=PORT, such as web=3005", pin)
		case c.Pins[name] != 0 && c.Pins[name] != number:
			return c, usagef("--port gives %s two ports, %d and %d", name, c.Pins[name], number)
		case c.Pins == nil:
			c.Pins = map[string]int{}
		}
		c.Pins[name] = number
	}
	return c.Normal(), nil
}

// names checks a list of names.
func (o *choiceFlags) names(flag string, list []string) ([]string, error) {
	if o.said(flag) && (len(list) == 0 || slices.Contains(list, "")) {
		return nil, usagef("--%s has an empty name; it takes the names of services, with commas between them", flag)
	}
	return list, nil
}

// fits refuses flags that ask for something else than what a session was made
// with. What was not said is as it was.
func (o *choiceFlags) fits(c settings.Choice, s session.Session) error {
	cfg, err := steps.ConfigOf(s)
	if err != nil {
		return err
	}
	had := cfg.Choice
	differs := o.said("services") && !slices.Equal(c.Only, had.Only) ||
		o.said("skip") && !slices.Equal(c.Skip, had.Skip) ||
		o.said("no-inherit-env") && c.NoInherit != had.NoInherit
	for name, number := range c.Pins {
		differs = differs || s.Ports[name] != number
	}
	if !differs {
		return nil
	}
	with := had.String()
	if with == "" {
		with = "none of these flags"
	}
	if len(c.Pins) > 0 {
		with += ", on the ports " + portList(s.Ports)
	}
	return hinted{usagef("session %s was made with %s, and keeps to that until it is taken down", s.Slug, with), "ecluse down " + s.Slug}
}

// chosen makes a configuration that of one session.
func chosen(cfg settings.Config, c settings.Choice) (settings.Config, error) {
	cfg, err := cfg.Choose(c)
	var wrong *settings.ChoiceError
	if errors.As(err, &wrong) {
		return cfg, usageError{err}
	}
	return cfg, err
}
