// Package dotenv writes and reads files of variables, `KEY=VALUE` a line.
//
// It promises that three readers find the same value in what it writes: a shell
// that sources the file (`. ./.env.ecluse`), Docker Compose (`env_file` and
// `--env-file`) and whoever parses it as a dotenv file with compose-go. The
// promise needs care because the three do not read one language. Their common
// ground was measured, and is this:
//
//   - A value of harmless characters is written as it is.
//   - In single quotes nothing has a meaning, except that Compose takes a
//     backslash right before the closing quote for an escape.
//   - In double quotes all agree on \\, \" and \$, and on nothing else: a
//     backquote needs a backslash for the shell, which Compose keeps.
//
// So a value goes unquoted where it can, else into single quotes, else into
// double quotes. What is left is a value with a backquote that also has a single
// quote, or that ends in an odd number of backslashes: no form of it reads the
// same everywhere, and it is refused with an error that wraps [ErrUnwritable].
// So is a zero byte, which no environment can hold.
package dotenv
