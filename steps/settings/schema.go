package settings

import (
	"embed"
	"reflect"
	"sync"

	"ecluse/steps/config"
)

// sources are the files that declare the configuration: their comments are its
// documentation.
//
//go:embed settings.go services.go data.go steps.go user.go
var sources embed.FS

// comments are read once.
var comments = sync.OnceValues(func() (config.Comments, error) { return config.ReadComments(sources) })

// Schema is the JSON Schema of `.ecluse.toml`.
func Schema() (*config.Schema, error) {
	said, err := comments()
	if err != nil {
		return nil, err
	}
	def := Defaults()
	s := config.Maker{Tag: "toml", Comments: said}.Of(reflect.TypeFor[Config](), reflect.ValueOf(&def).Elem())
	s.Dialect, s.Title = config.Dialect, config.Name
	s.Description = "How ecluse makes a session of a repository."
	return s, nil
}

// TOML is the configuration as a file would say it, defaults included.
func (c Config) TOML() (string, error) {
	s, err := Schema()
	if err != nil {
		return "", err
	}
	return config.Encode(s, c)
}

// Reference is docs/configuration.md: every key of `.ecluse.toml` and of the user's
// configuration.
func Reference() (string, error) {
	s, err := Schema()
	if err != nil {
		return "", err
	}
	said, err := comments()
	if err != nil {
		return "", err
	}
	user := config.Maker{Tag: "toml", Comments: said}.Of(reflect.TypeFor[User](), reflect.Value{})
	return referenceTop + config.Reference(s) + referenceUser + config.Reference(user), nil
}

const referenceTop = "<!-- Made of the comments in steps/settings by `make schema`; do not edit. -->\n\n" +
	"# Configuration\n\n" +
	"`.ecluse.toml` is in the main worktree of a repository. Unknown keys are errors. `ecluse init` writes a commented one,\n" +
	"`ecluse validate` checks it, `ecluse config show` prints what is in force, and `ecluse config schema` prints its JSON\n" +
	"Schema, which is also [schema/config.json](schema/config.json).\n\n" +
	"Editors with taplo, such as VS Code with the extension Even Better TOML, complete and check keys once the file begins\n" +
	"with the path of the schema. Make it beside the file, and commit both:\n\n" +
	"```console\n$ ecluse config schema > .ecluse.schema.json\n```\n\n" +
	"```toml\n#:schema ./.ecluse.schema.json\n\nmode = \"hybrid\"\n```\n\n"

const referenceUser = "\n# The user's configuration\n\n" +
	"`$XDG_CONFIG_HOME/ecluse/config.toml` (`~/.config/ecluse/config.toml`) is for all repositories of a user on a machine.\n\n"
