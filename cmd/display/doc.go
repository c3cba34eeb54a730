/*
Package display shows people and machines how a run is getting on, and lays out
tables. It turns [saga.Notice] into bytes and decides nothing else. The results
of a command are not its business: progress goes to stderr, results to stdout.

# Modes

	auto   tty where stderr is a terminal, else plain
	tty    finished steps as in plain, and one live line for each step in hand
	plain  one line for each transition, append-only, no carriage returns
	quiet  warnings only
	json   one event a line

Without a terminal tty is plain. Color is used only when [Options].Color allows
it; [Detect] obeys NO_COLOR and TERM=dumb. Warnings are shown in every mode.

# Lines

	» 3/6 compose                          the step was started
	✓ 3/6 compose 4.1s                     it is done
	✗ 5/6 hook:post_up exit status 1 (log: ...)
	↩ 3/6 compose compensating             it is being compensated
	✓ 3/6 compose compensated 1.2s
	✗ 3/6 compose compensation failed: ...
	  → compose: db is healthy             a message of a step
	→ asking up by pid 4711 to stop        a message of the run
	warning: ...
	  still waiting for 3/6 compose: db is starting, 12s
	                                       after ten seconds without a line, then
	                                       after 20, 40, and every minute
	  compose │ Pulling db                   what a program of a step wrote, with Verbose

A second attempt is marked "(attempt 2)". What has several lines goes on behind
a bar, "  │ ". A live line has a spinner instead of the mark, the time since the
attempt was started, and the last message; it is redrawn in place and leaves
nothing behind.

# Events

In the json mode every line that begins with {"schema":"ecluse.progress.v1" is an
event. The keys are those of [Event]; a key that does not apply is absent. Keys
and values may be added to v1; nothing of it changes its meaning or goes away.
[Schema] is the JSON Schema.

# What children say

Messages may hold the output of any program. Escape sequences and control
characters are taken out of every text, so that no child can move the cursor,
set the title or forge a line; texts are cut after 4 KB. The log has everything.

# A reader that does not read

A terminal that is stopped, or a pipe that nobody empties, must not hold up a
run, which would then not even see its signals. A line is written before Notify
returns, unless the writer does not take it for half a second; from then on
lines wait in a bounded queue, what does not fit is dropped, and the number of
dropped lines is told when the writer takes lines again.
*/
package display
