/*
Package saga is the engine: it carries out a plan of steps so that, whatever is
killed when, the plan can be finished or compensated later. This page is its
specification. It imports the standard library only; it knows no session, no
database and no terminal.

# Words

A [Plan] is a graph of steps. A [Step] can be done, compensated and, where it is
able to, verified. An attempt is one call of Do or Compensate. A fact is a value
that a step saved. A run is one execution of a plan, forward or backward; its
owner is the process that carries it out. The journal is the durable record:
[Progress] is where every step stands, and each transition leaves an [Entry]
in the history. Of a step's error it keeps the text, for people, and the code that the
step gave it ([Coded]), for programs; the engine decides nothing by either.

# The machine

[Next] is a pure function: plan, progress and events in, progress and actions
out. Everything that is ever decided is decided there. A [Runner] carries the
actions out and reports events; a [Journal] writes the answer of Next to disk
before the runner sees it.

	           events                    decision (durable)
	runner ------------> Journal.Commit ---------------------> runner
	  |                       |
	  | Do, Compensate        | Next(plan, progress, events)
	  v                       v
	the world               the disk

# Journal grammar

Per step, in one run:

	planned -> started (-> saved)* -> done | failed
	failed -> started                                  a retry
	done -> failed                                     lost: looked at, and not whole
	done | failed -> compensating (-> saved)* -> compensated | compensation-failed
	compensating -> done                               kept: the step has left all of it
	compensating -> compensation-failed                also parked: owners died at it
	compensation-failed -> compensating                a retry
	compensation-failed -> abandoned                   as the next run back begins
	abandoned -> started                               a later run
	compensated -> started                             a later run

Anything else is refused with [ErrGrammar] and changes nothing. A step that is
started or compensating when its owner dies is in doubt.

# Invariants

I1. Intent before effect: Do and Compensate are called only after "started" or
"compensating" is on disk, and a fact is on disk before the effect that it
describes ([Attempt.Save]).

I2. A step that was started is compensated, whether or not it was ever reported
done.

I3. A step starts only when everything that it needs, directly or through others,
is done (or has failed, and is best-effort), and is compensated only when nothing
that needs it, directly or through others, is left to be compensated.

I4. A run turns from forward to backward at most once, and never back.

I5. A run that goes forward is completed only after every step was done and then
verified once more, together, as the last thing.

I6. Two attempts of one step never overlap within an owner. That they do not
overlap across owners is the owner's business: it waits for what its predecessor
left running before it asks for the first action.

I7. What is durable never depends on a clock. Times are for people.

# What a crash leaves, and what the next owner does

	killed                           the journal says   forward            backward
	before the first commit          nothing            starts afresh      nothing to do
	after "started", before Do       started            Verify, else Do    Compensate
	in the middle of Do              started            Verify, else Do    Compensate
	after Do, before "done"          started            Verify, else Do    Compensate
	after "done"                     done (and what     goes on            Compensate
	                                 follows started)
	in the middle of Compensate      compensating       goes back          Compensate again
	after the last commit            ended              nothing to do      nothing to do

Do and Compensate run at least once, not exactly once: that cannot be had. An
attempt that follows one that was cut off has Resumed set and a Number above 1.

What the dead owner's programs still do is waited for, or ended, before the next
owner acts: [Progress.Haunted] names the steps at which they may be at work. It
names them through any number of owners that die before they act, for a step in
doubt can wait its turn while the journal says of it only that it was begun.

# Turning back

When a step fails for good (its retries are used up, the error is [Permanent], it
is not best-effort) the run turns: attempts that are running are cancelled and
waited for, then everything that was begun is compensated against the order of
the graph, side by side where the graph allows. A run with a scope (a repair)
compensates only the steps that it began itself. A compensation that fails for
good leaves what it stands on alone (the worktree holds the compose file that the
compose step still needs) while the rest goes on; the run then ends [Stuck], and
a later run begins with exactly what is left.

What a run is to keep it leaves where it is done. Where it is not (an earlier way back
failed at it, or was cut off) only the step knows how much is left: its Compensate may
say that it has kept the effect ([ErrKept]), and the step is done. So it may on the way
back of a repair, of what an earlier run had made.

A step may leave its effect in the data that another one holds: a migration does. Where
that data is found lost, so is what has filled it ([Spec.Fills], [Spec.Data]), however
much lies between the two; whether the data was really made anew its own Verify says.

What can never be compensated would keep its session for ever. A run back may be begun
with the word to abandon steps, of which a compensation has failed: they count as gone
for what they stand on, and the history keeps their facts. That is one transition with
the beginning of the run, so no crash comes between. Should the plan go forward again,
an abandoned step is made anew as one of which something may be there.
*/
package saga
