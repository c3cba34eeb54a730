package settings

import "ecluse/steps/config"

// The modes of a repository: where its services run.
const (
	ModeContainer = "container" // every service in Docker Compose
	ModeHost      = "host"      // every service native
	ModeHybrid    = "hybrid"    // data services in Compose, the rest native
)

// Where a service runs; none means native.
const (
	runNative = "native"
	RunDocker = "docker"
)

// The modes of an entry of inherit_env; none means a link.
const (
	InheritLink    = "symlink"
	InheritCopy    = "copy"
	InheritReflink = "reflink"
)

// Config is `.ecluse.toml`. The struct is the registry of what can be
// configured: its field names are the keys and its comments their meaning. It is
// also what a session keeps of the configuration that it was made from.
type Config struct {
	// Mode says where services run: container, host or hybrid. It has no
	// default.
	Mode string `toml:"mode" json:"mode" schema:"required;enum=container,host,hybrid"`
	// MaxSlots is how many sessions the repository may have at once, 1 to 255.
	MaxSlots int `toml:"max_slots" json:"max_slots" schema:"min=1;max=255"`
	// Prefix begins the name of every compose project: a-z, 0-9, - and _.
	Prefix string `toml:"prefix" json:"prefix" schema:"pattern=^[a-z0-9][a-z0-9_-]*$"`
	// WorktreeDir is where worktrees are made, relative to the main worktree. It
	// may lie beside it: "../worktrees".
	WorktreeDir string `toml:"worktree_dir" json:"worktree_dir"`
	// AppLabel and AppLabelValue mark, in hybrid mode, the compose service that
	// is the application and runs natively.
	AppLabel      string `toml:"app_label" json:"app_label"`
	AppLabelValue string `toml:"app_label_value" json:"app_label_value"`
	// StrictPort fails instead of searching when a port is taken.
	StrictPort bool `toml:"strict_port" json:"strict_port"`
	// PortSearchRange is how many further ports are tried for a service, each
	// max_slots * slot_stride from the one before; 0 to 255.
	PortSearchRange int `toml:"port_search_range" json:"port_search_range" schema:"min=0;max=255"`
	// SlotStride is the distance between the ports of neighbouring slots, 1 to
	// 255; 0 is understood as 1.
	SlotStride int `toml:"slot_stride" json:"slot_stride" schema:"min=0;max=255"`
	// InheritEnv lists files and folders of the main worktree that a session
	// gets; one that is missing there is left out. An entry is a path or a table.
	// They are linked unless the table says otherwise: what a session writes to
	// one is written to the main worktree's.
	InheritEnv []config.OneOrTable[Inherit] `toml:"inherit_env" json:"inherit_env"`
	// Env adds variables; values may refer to others as ${NAME}, and $$ is a
	// dollar.
	Env map[string]string `toml:"env" json:"env,omitempty" schema:"names=^[A-Za-z_][A-Za-z0-9_]*$"`
	// Hooks are commands around the steps of an up and a down, each a string or
	// a table.
	Hooks Hooks `toml:"hooks" json:"hooks"`
	// Services are what runs, or what needs a port.
	Services []Service `toml:"services" json:"services,omitempty"`
	// Compose says how the compose files are used.
	Compose Compose `toml:"compose" json:"compose"`
	// Databases are made for each session on a server that outlives it, or on
	// one of its own.
	Databases []Database `toml:"databases" json:"databases,omitempty"`
	// Steps are steps of the user's own.
	Steps []UserStep `toml:"steps" json:"steps,omitempty"`
	// Choice is what was chosen for one session. It is no key.
	Choice Choice `toml:"-" json:"choice,omitzero"`
	// ProcessManager is what the user's configuration said when the session was made,
	// see [User]; empty means detached. It is no key.
	ProcessManager string `toml:"-" json:"process_manager,omitempty"`
}

// Inherit is one file or folder of the main worktree that a session gets.
type Inherit struct {
	// File is its path, relative to both worktrees.
	File string `toml:"file" json:"file" schema:"required;pattern=."`
	// Mode is symlink (the default), copy (the session has one of its own), or
	// reflink: a copy that shares its blocks until one side changes them, where
	// the file system can.
	Mode string `toml:"mode" json:"mode,omitempty" schema:"enum=symlink,copy,reflink"`
}

// Scalar lets a plain string stand for the table.
func (i *Inherit) Scalar(file string) error {
	*i = Inherit{File: file}
	return nil
}

// Hooks are the five commands of a session's life. pre_up and post_down mirror
// each other, and so do post_up and pre_down: the second compensates the first.
type Hooks struct {
	// PreUp runs first, in the main worktree.
	PreUp *config.OneOrTable[Hook] `toml:"pre_up" json:"pre_up,omitempty"`
	// PreSpawn runs in the worktree, before native services start.
	PreSpawn *config.OneOrTable[Hook] `toml:"pre_spawn" json:"pre_spawn,omitempty"`
	// PostUp runs in the worktree, after everything is up.
	PostUp *config.OneOrTable[Hook] `toml:"post_up" json:"post_up,omitempty"`
	// PreDown runs in the worktree, before anything is taken down.
	PreDown *config.OneOrTable[Hook] `toml:"pre_down" json:"pre_down,omitempty"`
	// PostDown runs in the main worktree, after everything is down.
	PostDown *config.OneOrTable[Hook] `toml:"post_down" json:"post_down,omitempty"`
	// OnUp is the old name of pre_up, which wins over it.
	OnUp *config.OneOrTable[Hook] `toml:"on_up" json:"-" config:"deprecated"`
	// OnDown is the old name of pre_down, which wins over it.
	OnDown *config.OneOrTable[Hook] `toml:"on_down" json:"-" config:"deprecated"`
}

// Hook is one command.
type Hook struct {
	// Run is handed to `sh -c`.
	Run string `toml:"run" json:"run" schema:"required;pattern=[^ ]"`
	// Timeout ends it, as "90s" or "10m"; 0 is no bound, the default is 10
	// minutes.
	Timeout *config.Duration `toml:"timeout" json:"timeout,omitempty"`
	// Retries is how often it is run again after it failed.
	Retries int `toml:"retries" json:"retries,omitempty" schema:"min=0;max=100"`
	// Inputs are files, relative to the hook's folder. A hook that succeeded is
	// not run again by a resume or repair unless one of them changed.
	Inputs []string `toml:"inputs" json:"inputs,omitempty"`
	// BestEffort lets an up go on although the hook failed. Only hooks of an up
	// have it.
	BestEffort bool `toml:"best_effort" json:"best_effort,omitempty"`
}

// Scalar lets a plain string stand for the table.
func (h *Hook) Scalar(run string) error {
	*h = Hook{Run: run}
	return nil
}

// Defaults is the configuration of an empty file.
func Defaults() Config {
	return Config{
		MaxSlots: 8, Prefix: "ecluse", WorktreeDir: ".ecluse/worktrees",
		AppLabel: "ecluse.role", AppLabelValue: "app", PortSearchRange: 10, SlotStride: 1,
		InheritEnv: []config.OneOrTable[Inherit]{{Value: Inherit{File: ".env"}}, {Value: Inherit{File: ".env.local"}}},
	}
}

// Load reads and validates the configuration of the repository whose main worktree is
// root; checks are those of what is made of it. The error is a *config.Error that
// names every problem, or wraps config.ErrMissing, or says that the file cannot be read.
func Load(root string, checks ...func(Validator)) (Config, error) {
	path, err := config.Find(root)
	if err != nil {
		return Config{}, err
	}
	cfg := Defaults()
	problems, err := config.Decode(path, &cfg)
	if err != nil {
		return Config{}, err
	}
	cfg.settle()
	if v := (Validator{cfg, problems, root}); !problems.Broken() && v.whole() {
		for _, check := range checks {
			check(v)
		}
	}
	if err := problems.Err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// settle moves what was said in an older way to where it is said today.
func (c *Config) settle() {
	if c.SlotStride == 0 {
		c.SlotStride = 1
	}
	if c.Hooks.PreUp == nil {
		c.Hooks.PreUp = c.Hooks.OnUp
	}
	if c.Hooks.PreDown == nil {
		c.Hooks.PreDown = c.Hooks.OnDown
	}
	for i := range c.Services {
		s := &c.Services[i]
		if s.DebugPort != 0 {
			name := "ECLUSE_" + EnvKey(s.Name) + "_DEBUG_PORT"
			s.ExtraPorts = append(s.ExtraPorts, ExtraPort{BasePort: s.DebugPort, PortEnv: config.Strings{name}})
		}
	}
}
