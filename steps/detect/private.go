package detect

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ecluse/steps/dotenv"
	"ecluse/steps/settings"
)

// privateEnv are files of variables that git mostly leaves out, so what is in them may be
// a secret. Of two that have a variable the first counts.
var privateEnv = []string{".env.local", ".env"}

// inherited finds the private files of folders: a worktree lacks them.
func (s *Survey) inherited(root string, list []subfolder) {
	for _, at := range list {
		for _, name := range slices.Backward(privateEnv) {
			if isFile(filepath.Join(root, at.path, name)) {
				s.Inherit = append(s.Inherit, path.Join(at.path, name))
			}
		}
	}
}

// privates adds what the private files say of the ports of a session's services. What an
// example says is public, and goes before.
func (s *Survey) privates(root string, dirs []string, said map[string][]Variable) {
	for _, dir := range dirs {
		for _, v := range private(root, dir, s.leases(dir)) {
			i := find(s.Env, v.Name)
			switch {
			case i < 0:
				s.Env = append(s.Env, v)
			case find(said[dir], v.Name) < 0 && s.Env[i].Value != v.Value:
				s.own(dir, v.where(s.Env[i]))
			}
		}
	}
}

// private are the variables of a folder's private files that lead to ports of a session's
// services, without what may be secret in them.
func private(root, dir string, leases map[string]lease) []Variable {
	var list []Variable
	seen := map[string]bool{}
	for _, name := range privateEnv {
		for _, raw := range dotenv.Raws(readText(filepath.Join(root, dir), name)) {
			place, service := leads(raw.Value, leases)
			if was := seen[raw.Name]; was || settings.WrongVariable(raw.Name) != "" {
				continue
			}
			seen[raw.Name] = true
			if service == "" {
				continue
			}
			shown, doubt := masked(raw.Value, place)
			v := moved(raw.Name, shown, leases)
			v.From, v.Doubt = filepath.Join(dir, name), doubt
			v.Leads = fmt.Sprintf("%s, the port of %s outside of sessions", place, service)
			list = append(list, v)
		}
	}
	return list
}

// leads is the first place in a value that is a port of a session's service, and which.
func leads(value string, leases map[string]lease) (place, service string) {
	for _, match := range localPort.FindAllStringSubmatch(value, -1) {
		if to := leases[match[2]]; to.service != "" {
			return match[0], to.service
		}
	}
	return "", ""
}

var (
	// address is a value of which every part is known for what it is: scheme, user,
	// password, host, port, path and query.
	address = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.:-]*://)?(?:([^:/?#@]*)(:[^/?#]*)?@)?((?:localhost|127\.0\.0\.1):\d+)((?:/[A-Za-z0-9._~-]*)*)(?:\?([^#]*))?$`)
	// plainQuery are keys of a query whose values are no secrets, and plainValue is what
	// they then are.
	plainQuery = []string{"sslmode", "ssl", "schema", "charset", "encoding", "serverVersion", "connection_limit", "pool", "pool_timeout", "pgbouncer", "authSource", "replicaSet", "directConnection", "retryWrites"}
	plainValue = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,16}$`)
	plainKey   = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,23}$`)
	digit      = regexp.MustCompile(`\d`)
)

// masked is a value without what may be secret in it, and why it is not the whole one;
// place is what of it is known to be none.
func masked(value, place string) (shown, why string) {
	const unknown = "its value may hold a secret"
	part := address.FindStringSubmatch(value)
	if part == nil || slices.ContainsFunc(append(strings.Split(part[5], "/"), part[2]), random) {
		return place, unknown
	}
	shown = part[1] + part[2]
	if part[3] != "" {
		shown, why = shown+":PASSWORD", "its value has a password"
	}
	if part[2] != "" || part[3] != "" {
		shown += "@"
	}
	shown += part[4] + part[5]
	if part[6] == "" {
		return shown, why
	}
	var pairs []string
	for pair := range strings.SplitSeq(part[6], "&") {
		key, to, _ := strings.Cut(pair, "=")
		if !slices.Contains(plainQuery, key) || !plainValue.MatchString(to) {
			if pair = "VALUE"; plainKey.MatchString(key) {
				pair = key + "=VALUE"
			}
			if why == "" {
				why = unknown
			}
		}
		pairs = append(pairs, pair)
	}
	return shown + "?" + strings.Join(pairs, "&"), why
}

// random reports whether a part of a value may be a token.
func random(text string) bool {
	const short, long = 16, 32
	return len(text) >= long || len(text) >= short && digit.MatchString(text)
}

// suggested writes a variable that is only suggested, and why.
func (v Variable) suggested() string {
	return fmt.Sprintf("# %s in %s leads to %s. It is not in force,\n# because %s, and this file is committed: complete it, if that is none.\n#%s = %s\n",
		v.Name, comment(v.From), comment(v.Leads), v.Doubt, v.Name, quote(v.Value))
}

// Left warns of variables that are left to the user: what they say may be secret.
func (l Look) Left(mode string) []string {
	var warnings []string
	add := func(list []Variable, whose string) {
		for _, v := range list {
			if v.Doubt != "" && v.in(mode) {
				warnings = append(warnings, fmt.Sprintf("left to you: %s in %s leads to %s, and was not copied, because %s; until %s sets it, sessions use what is outside of them",
					v.Name, v.From, v.Leads, v.Doubt, whose))
			}
		}
	}
	add(l.Env, "[env]")
	if mode != settings.ModeContainer {
		for _, f := range l.Natives {
			if f.sure() {
				add(f.Env, "the command of "+f.Name)
			}
		}
	}
	return warnings
}
