package detect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ecluse/steps/settings"
)

// Look is what a new configuration is to say that differs from the defaults. Zero
// values are the defaults.
type Look struct {
	MaxSlots int
	Prefix   string
	Survey
}

// Template is a commented `.ecluse.toml` for a mode, with the services that were found
// in force. It loads as it is. Lines that
// begin with # and no blank are examples: each loads when the # is taken away, and
// so do all of them together. The error says what is wrong with the mode or the
// look.
func Template(mode string, look Look) (string, error) {
	def := settings.Defaults()
	if look.MaxSlots == 0 {
		look.MaxSlots = def.MaxSlots
	}
	if look.Prefix == "" {
		look.Prefix = def.Prefix
	}
	for _, wrong := range []string{settings.WrongMode(mode), settings.WrongMaxSlots(look.MaxSlots), settings.WrongPrefix(look.Prefix)} {
		if wrong != "" {
			return "", errors.New(wrong)
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, templateTop, mode, look.MaxSlots, look.Prefix, def.WorktreeDir, look.inherits())
	fmt.Fprintf(&text, templatePorts, def.PortSearchRange, def.SlotStride)
	if mode == settings.ModeHybrid {
		fmt.Fprintf(&text, templateLabel, def.AppLabel, def.AppLabelValue)
	}
	text.WriteString(look.env(templateEnv, mode) + look.hooks(templateHooks, mode))
	if mode != settings.ModeHost {
		text.WriteString(templateCompose)
	}
	text.WriteString(templateServices)
	found := look.Found(mode)
	text.WriteString(look.services(mode))
	if mode == settings.ModeContainer && len(found) == 0 {
		text.WriteString(look.published())
	}
	if mode != settings.ModeContainer && !slices.ContainsFunc(found, func(f Found) bool { return f.Native() }) {
		text.WriteString(templateNative)
	}
	if mode != settings.ModeHost && !slices.ContainsFunc(found, func(f Found) bool { return !f.Native() }) {
		text.WriteString(templateDocker)
	}
	text.WriteString(templateDatabases + templateSteps)
	return text.String(), nil
}

// inherits are the entries of inherit_env for folders.
func (l Look) inherits() string {
	var b strings.Builder
	for _, file := range l.Inherit {
		fmt.Fprintf(&b, "  %s,\n", quote(file))
	}
	return b.String()
}

const templateTop = `# How ecluse makes a session of this repository. Lines that begin with # and no
# blank are examples. Unknown keys are errors.

# Where services run: container (all in Docker Compose), host (none there) or
# hybrid (data in Compose, the application native).
mode = %q

# How many sessions there may be at once, 1 to 255.
max_slots = %d

# Begins the name of every compose project: a-z, 0-9, - and _.
prefix = %q

# Where worktrees are made, relative to the main worktree.
worktree_dir = %q

# Files and folders of the main worktree that a session gets, where they are there.
# An entry is a path, which is linked, so that writing to it in a session changes the
# main worktree's, or a table with a mode: symlink, copy, or reflink (a copy that
# shares its blocks where the file system can).
inherit_env = [
  ".env",
  ".env.local",
%s  #{ file = "config/local.json", mode = "copy" },
  #{ file = "node_modules", mode = "reflink" },
]
`

const templatePorts = `
# Slot n of a service gets the port base_port + n * slot_stride. When that is taken
# so many others are tried, each max_slots * slot_stride further.
#port_search_range = %d
#slot_stride = %d

# Fail when a port is taken instead of trying others.
#strict_port = true
`

const templateLabel = `
# The label of the service in the compose file that is the application: it runs
# native, and all others in Docker. Not used when [[services]] has any with
# run = "docker".
#app_label = %q
#app_label_value = %q
`

const templateEnv = `
# Further variables of a session. A value may refer to others; $$ is a dollar. There
# are ECLUSE_SLUG, ECLUSE_SLOT, ECLUSE_MODE, ECLUSE_BRANCH, ECLUSE_WORKTREE,
# ECLUSE_ROOT and, for each service, ECLUSE_<NAME>_PORT.
#[env]
#APP_NAME = "shop-${ECLUSE_SLUG}"
`

const templateHooks = `
# Commands around an up and a down, run by sh. Each is a string or a table:
#   run      the command
#   timeout  ends it: "90s", "10m" (the default); 0 is no bound
#   retries  how often it is run again after it failed
#   inputs   files; while none of them changes, a hook that succeeded is not run
#            again when a session is repaired
# pre_up and post_down run in the main worktree, the others in the session's.
# post_down undoes pre_up, and pre_down undoes post_up.
#[hooks]
# first of all
#pre_up = "git fetch origin"
# before native services start
#pre_spawn = { run = "make deps", timeout = "5m", retries = 1, inputs = ["go.sum", "package-lock.json"] }
# when everything is up
#post_up = "make seed"
# before anything is taken down
#pre_down = "make dump"
# when everything is down
#post_down = "true"
`

const templateCompose = `
# The compose file, relative to the worktree (by default the one that Compose finds), or
# an array of files that are merged; the profiles that are active, and how long services
# may take to be healthy.
#[compose]
#file = "compose.yaml"
#profiles = ["dev"]
#timeout = "5m"
`

const templateServices = `
# What runs, or only needs a port:
#   name             the service; with run = "docker" its name in the compose file
#   base_port        where its ports count from; without it a native service, such as
#                    a worker, has no port, and one in docker what its file publishes
#   run              native (the default) or docker; in hybrid mode one with docker
#                    means that only those start in Docker, so name all
#   command          what sh runs in the worktree; without it there is only a port
#   port_env         further variables with the port, a string or an array
#   extra_ports      further ports: { base_port, port_env, container_port }
#   ready            when it is up: http (a path or URL), tcp = true, log (a regular
#                    expression), command, and timeout; by default its port answers,
#                    and without a port it must run for a moment
#   host_port        where host ports count from, when not base_port (docker)
#   publish_primary  whether base_port is published (docker)
#   compose          the compose file that it is in, when not compose.file: each such
#                    file is a project of its own (docker)
`

const templateNative = `
#[[services]]
#name = "web"
#base_port = 3000
#command = "npm run dev -- --port $PORT"
#port_env = "WEB_PORT"
#extra_ports = [{ base_port = 9229, port_env = "INSPECT_PORT" }]
#ready = { http = "/", timeout = "2m" }
`

const templateDocker = `
#[[services]]
#name = "postgres"
#run = "docker"
#base_port = 5432
#host_port = 15432
#publish_primary = true
`

const templateDatabases = `
# Databases of a session's own, on a PostgreSQL server of the host's or of the compose
# file's. With a template and migrate the template is made by migrate, once for each
# state of the inputs, and sessions begin as copies of it.
#   name      the database's step is database:<name>
#   engine    postgres
#   url       where the project's database is outside of any session; values may be
#             ${ECLUSE_POSTGRES_PORT} and other variables of a session
#   template  the database that the session's begins as a copy of, else it is empty
#   migrate   run by sh in the worktree, with the URL of what it is to migrate
#   inputs    files and folders that decide what migrate makes
#   url_env   variables that hold the URL (by default DATABASE_URL)
#   timeout   how long the server, or a busy template, is waited for ("1m")
#[[databases]]
#name = "main"
#engine = "postgres"
#url = "postgres://app:secret@localhost:5432/app"
#template = "app_template"
#migrate = "make migrate"
#inputs = ["db/migrations", "db/schema.sql"]
#url_env = "DATABASE_URL"
#timeout = "2m"
`

const templateSteps = `
# Steps of your own, with the same guarantees as the others: what was begun is taken
# back by a down, and by an up that fails. See docs/steps.md.
#   name        the step is step:<name>
#   do          the command; it may be run again after any part of it was done
#   undo        takes back all, a part or nothing of it
#   check       ends with 0 if it is there and whole, and changes nothing
#   needs       what must be done before: other steps, or worktree, env, compose,
#               database, service, service:web, ...; by default all but post_up
#   before      what waits for this step
#   dir         in the worktree, or of the main worktree: "${ECLUSE_ROOT}"
#   timeout, undo_timeout, retries, undo_retries, backoff, inputs, best_effort
#[[steps]]
#name = "bucket"
#do = "make bucket"
#undo = "make drop-bucket"
#check = "make has-bucket"
#needs = ["worktree"]
#undo_retries = 3
#retries = 2
#timeout = "5m"
#inputs = ["bucket.json"]
`
