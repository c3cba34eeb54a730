/*
Package plain opens files of the user's that should be plain ones, and might be
anything: nothing that is in the place of one has its reader wait for ever, or acts.

A pipe that nobody writes to keeps whoever opens it, and no signal reaches a process
that waits so. Some devices act on being opened: a tape is wound back, a watchdog
begins to count. So the first look is from outside. What it saw may be something else
a moment later: the file is opened without waiting, and what was opened is looked at
once more.

A file that is plain may still be endless for our purposes. [Read] takes no more than
it was told to.

What is read through a library, as compose files are, can only be looked at from
outside, by whoever calls that. Package store looks after its own: it makes files and
locks them, and bbolt opens one by itself.
*/
package plain
