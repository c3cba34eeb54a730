// Package docs has the pages that the program itself can print.
package docs

import _ "embed" // the pages

// Agents tells coding agents how to work in a session, as Markdown.
//
//go:embed agents.md
var Agents string
