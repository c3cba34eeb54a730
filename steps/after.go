package steps

import "strings"

// worded is an error with another text.
type worded struct {
	text string
	err  error
}

// Error is the text.
func (e worded) Error() string { return e.text }

// Unwrap returns the error.
func (e worded) Unwrap() error { return e.err }

// after adds to the first line of an error, below which the output of a program may
// stand.
func after(err error, text string) error {
	first, rest, more := strings.Cut(err.Error(), "\n")
	if more {
		text += "\n" + rest
	}
	return worded{first + text, err}
}
