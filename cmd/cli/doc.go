/*
Package cli is the command line: one file per verb, each of which turns flags
into a request, hands it to a [session.Manager] and shows what came of it. It is
the only importer of cobra, and the place where store, steps, sessions and
display are wired together.

# The terminal contract

stdout carries results only: the summary of an up, the table of an ls, JSON. What
is going on, warnings and errors go to stderr. Nothing prompts without a
terminal, and nothing of a child's output ever reaches stdout, but where it is the
result: in logs, and in exec and shell, where ecluse becomes the command.

Errors are one line, "ecluse: what happened; what to do", in lower case and
without a full stop, followed by lines "hint: COMMAND" whose command works when
it is pasted, the likeliest first. With --json the error is printed to stdout as well;
"hints" has all of them where there are several, and "cause" the word for why a step
failed, where there is one:

	{"error": {"code": "busy", "message": "…", "hint": "…", "step": "…", "log": "…"}}

# Exit statuses

They are in exitTable, which `ecluse --help` and `ecluse help exit-status` show, and in the
README.

# Signals

The first SIGINT, SIGTERM or SIGHUP stops a run in good order: an up is rolled
back, a down finishes the step in hand. The second one leaves at once; `ecluse
recover` finishes what was left. A signal that was ignored when ecluse started
(nohup) stays ignored.
*/
package cli
