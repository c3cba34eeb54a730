/*
Package store keeps the state of all sessions of one machine user in a bbolt
file, and the locks beside it. It is the only package that imports bbolt. It
implements the store and the locker of package session, and the home of package
steps.

# Files

	<state>/                       0700; $ECLUSE_STATE_DIR, see DefaultDir
	  state.db                     the records, 0600
	  state.lock                   held while state.db is open; its text names the writer
	  locks/<slug>-<hash>.own      owner lock: held as long as an up, down or recover lives
	  sessions/<slug>-<hash>/      a session's private folder; goes with the session
	    locks/<step>               step locks, inherited by the children of a step
	  logs/<slug>-<hash>/          outlives the session
	  backups/state-<schema>-<time>.db
	  state.db.damaged-<time>      what a rebuild has put something else in the place of

The lock order is owner, step, state, bbolt, without exception. Locks are flock:
the kernel drops them when the last process that has the open file ends.

# Buckets

Keys are drawn with | for a NUL byte. Numbers in keys are big-endian, so that
they sort. Values are JSON, followed by a line with their CRC-32C: bbolt has no
checksums but on its meta pages, and a slot or a path that a failing disk changed
must not be believed.

	meta               "schema"      the version of this drawing
	                   "created_by"  the program version that made the file
	                   "schema_by"   the program version that brought it to the schema
	                   "epoch"       the highest epoch ever given
	                   "commits"     transactions so far
	                   "backup"      when the last copy was made, and at which commit
	sessions           repo|slug                 -> session.Session and "by", who wrote it
	slots              repo|slot(4)              -> slug
	leases             port(2)                   -> repo, slug, name
	history            seq(8)                    -> session.Entry
	history_by_session repo|slug|seq(8)          -> nothing; finds one session's history
	runs               run id                    -> Run
	runs_by_session    repo|slug|seq(8)          -> run id

slots and leases repeat what the records say. They are written in the transaction
that writes the record, and are what makes a slot and a port unique. The history
and the runs outlive the session.

# Promises

What Apply, as session.Store has it, acknowledged is on disk: power cuts and
SIGKILL lose nothing. A transaction of which nobody heard the end may have
happened; every event can bear that, because it carries the epoch that it was
decided on.

Nothing is written past session.Transition, which checks that the writer still
owns the session. The store looks at the answer once more before it writes it:
the key is the one asked for, the epoch never falls, and no slot or port of
another session is taken.

Get, List, History, Runs and Holder write nothing, not even a lock file, and work
on a read-only disk. Without a state file they find nothing, unless the private
folders of sessions are there: then it was lost, and counts as damaged, for writers,
too. A file of an older
schema they read through a migrated copy in the folder for temporary files; the
file itself is migrated, and copied before, by the next write.

A record that cannot be used, because it is damaged or a newer version wrote it,
costs that session only: List returns the others, and an error that names it.

A damaged file is an error that wraps [ErrDamaged], never a panic, a crash or a
hang. The pages that can be reached are checked when a process first opens the
file, because bbolt trusts them: a page number that points back up the tree
overflows its stack, which nothing can catch. Of a large file most leaves are not
looked at, so that looking at one session does not read them all.

A copy of the file is kept once a day, and every thousand transactions. It is
copied in memory under the lock and synced without; when it fails, nobody does.

# Rebuilding

[Store.Rebuild] puts a new file in the place of one that is damaged or gone. It begins
as what can be read ([Store.Remains]): the file itself if its pages are sound and only
records are not, else the last copy that is whole, so that history and runs stay; the
sessions it has are those that it is given, whose records package look makes of what is
found. All of it happens under the state lock, after a look that nobody holds an owner
lock and that the file is still the one that was looked at. The damaged file is kept: it
gets a second name before the new one takes its place, so that a crash leaves the one or
the other, and never none.

Epochs are never used again, and the highest that was given may be lost. So the counter
goes on from the milliseconds since 1970, which is more than there ever were claims, and
every record gets a new one: who has outlived the file can write nothing.

# Why a file is opened per transaction

bbolt shuts every other process out while the file is open, so it is open for one
transaction, well under a millisecond with a small file. bbolt waits for the file
by polling every 50 ms, which starves: sixteen writers had a p99 of 380 ms, and a
reader waited for 8 s. A blocking flock on state.lock in front of it, shared for
readers, brings both under 40 ms. Sync stays on, and the freelist stays synced:
without it every open reads the whole file.

A new file is built under another name, synced, renamed, and its folder synced.
The first milliseconds of a file's life are the only time when a power cut
damages a bbolt file.

A lock file may be unlinked by whoever holds it. So everybody compares, after
locking, the file that is open with the one that has the name now, and starts
again when they differ.
*/
package store
