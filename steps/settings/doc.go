/*
Package settings is the configuration as data: what `.ecluse.toml` and the user's own
file may say, and what is wrong with it.

The structs are the registry of what can be configured. Their fields are the keys, and
their comments are the documentation: the JSON Schema, docs/configuration.md and the
defaults that `config show` prints are made of them ([Schema], [Reference],
[Config.TOML]).

Every key is checked here for itself and against the others ([Load]). What is wrong
only when a session is made of it (a variable that refers to nothing, steps that wait
for each other) takes a plan to see: those checks are handed in by package steps, whose
LoadConfig is what everybody calls. That is why this is a room of its own: it knows
neither steps nor sessions, and `init`, which writes a configuration, needs no more.
*/
package settings
