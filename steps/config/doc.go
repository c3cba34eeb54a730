// Package config reads `.ecluse.toml`. It knows files and Go structs, and nothing
// of what a configuration means.
//
// It promises that a file either decodes without a remainder or is refused with
// everything that is wrong with it, at once: what is no TOML, what is set twice,
// unknown keys, values of the wrong type, and what the caller then finds to be
// wrong ([Problems.Invalid]). Each [Problem] stands at its line and column, with
// the line and a caret under the place. An unknown key names the known one that
// was probably meant. A key that is ignored without a word is worse than an error:
// the user believes that it is in force.
//
// It promises further that no file makes it hang or crash. Time and memory are
// linear in the size, and a file over 32 MB is refused. This is why the document
// is built here, upon the parser of go-toml, and not by toml.Unmarshal: that one
// stops at the first wrong type, reports no unknown key then, and compares each
// key with all the keys before it (one megabyte of keys takes 15 seconds).
//
// The rules of TOML about what may be set twice are kept by this package, and
// tests compare its verdict and its values with those of go-toml.
package config
