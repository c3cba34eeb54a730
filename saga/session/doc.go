/*
Package session is the life of a session: it binds the engine (saga) to the
lifecycle (fsm), and decides who may do what to whom, and when.

# Record and transition

A [Session] is one durable record: what it is, its plan, how far each step has
come, its run, the run's owner, its leases. [Transition] is a pure function from
a record and an [Event] to the next record and what is to be done; it is the
only place where the lifecycle moves and the only caller of saga.Next. A [Store]
applies it to what is on disk, in one transaction. The model checker in this
package's tests explores the same function, with several processes, crashes
anywhere, orphans and take-overs; broken variants of it are kept as tests that
must find their violation.

# Who may act

	owner lock   the kernel's, one a session, held by a process for as long as its
	             operation lasts. It decides who is alive, and nothing else does.
	owner        the description of that process: it explains, and aims signals
	epoch        rises with each claim and is never used again; each event of a run
	             carries it, so whoever lost the session can write nothing more
	step lock    inherited by what a step starts: whoever takes a session over
	             waits for the dead owner's children, or ends them, before it acts

A claim is made only while the owner lock is held. The order of locks is owner,
step, state file, without exception; no transaction lasts while a step runs.

A session that is pending while nobody holds its lock is interrupted, and one
whose lock is held is busy: the two are told apart with certainty, see
[Manager.Status].

# Asking an owner to stop

A down of an up that is under way leaves word in the record ([AskStop]) and then
signals the owner, which turns back; the down waits for its lock. A down that keeps the
worktree or the data asks it to halt instead: the owner's own way back would leave
nothing to keep. Only one command
asks: a process takes a second signal as an order to leave at once. A process that
works on several sessions (recover) finds by the record which of them is meant,
and goes on with the others.

# Up, down, recover

[Manager.Up] brings a session up from whatever state it is in, [Manager.Down]
compensates whatever was done, and [Manager.Recover] goes on with what was cut
off, in the direction in which it was going. They are one path: claim, drain, run.
A failed up and a down are the same compensation over the same journal.
*/
package session
