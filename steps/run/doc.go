/*
Package run runs programs to their end: git, docker, hooks. Whatever a step
starts and waits for goes through here, so that the same holds for all of it.

A program runs in a folder that is named, never in whatever folder ecluse
happens to be in. It is the leader of a session, and so of a process group, of its
own: what the terminal sends to ecluse does not reach it, and it cannot ask a
terminal that nobody looks at. (In a mere group of its own, a program that opens
/dev/tty to ask for a password is stopped for ever.) Its stdin is empty unless
something is given. It inherits no file but those of its [Inherit].

When the context ends, the program and all that it brought up get TERM; what is
still there after a period of grace gets KILL; and only when all of it is gone
does the call return. Nothing that the program left in the background on purpose
is touched while the context lives: when the program has ended, the call returns
within two seconds, even if such a process holds its output.

Output goes to the log of the [Inherit]. If that is a file it is handed to the
program, so a gigabyte of output costs us nothing; the end of it, which an
[Error] carries, is read back from where the program began. Where the log has a
limit, the middle of what is more is taken out of the file while the program
goes on; what it left in the background is not bounded. Everything else is read
from a pipe, of which the same end is kept.

It is for Linux, as package proc is. One thing is the caller's: a signal that
ecluse ignores, its programs ignore, and a shell cannot change that. Take note of
SIGPIPE with signal.Notify; with signal.Ignore every pipeline in a hook would
misbehave.
*/
package run
