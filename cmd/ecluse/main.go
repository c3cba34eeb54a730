// Command ecluse gives every branch of a repository an environment of its own:
// a git worktree, ports, containers, data and processes.
package main

import (
	"os"

	"ecluse/cmd/cli"
)

func main() {
	program := cli.Program{
		Args: os.Args[1:], Getenv: os.Getenv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	os.Exit(program.Main())
}
