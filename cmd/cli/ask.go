package cli

import (
	"bufio"
	"fmt"
	"strings"
)

// asks reports whether there is somebody who can be asked: who sees the question, and
// can answer it. A program is not asked.
func (a *app) asks() bool {
	return !a.json && a.Stdin != nil && isTerminal(a.Stdin) && isTerminal(a.Stderr)
}

// question asks in a terminal. Only a line that was ended is an answer: who presses
// Ctrl-D in the middle of one has given none. Ctrl-C ends the process, which has begun
// nothing yet.
func (a *app) question(text string) (answer string, ok bool) {
	if a.answers == nil {
		a.answers = bufio.NewReader(a.Stdin)
	}
	fmt.Fprint(a.Stderr, text)
	line, err := a.answers.ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.Stderr) // the cursor is behind the question
		return "", false
	}
	return strings.TrimSpace(line), true
}
