/*
Package proc knows the processes of this machine: who they are, what belongs
together, how to end them for certain, and how to start one that outlives us.
Its facts come from /proc and its signals go through pidfds, so it is for Linux
(5.3 or newer) only.

# Identity

A pid alone says nothing: numbers are used again within seconds on a busy
machine. An [ID] is the pid, the time at which the process started (clock ticks
since boot, field 22 of /proc/PID/stat), the boot and the pid namespace in which
both are counted. A process of another boot is gone; one of another namespace
cannot be judged from here, so it is neither alive nor ever sent a signal.

A zombie is dead: it runs nothing, and in a container its parent may never take
note of its end. A process whose first thread has ended while others go on is
alive, although /proc calls it a zombie.

[ID.Signal] opens a pidfd first and looks at the identity after that. The number
cannot change its owner behind an open pidfd, so the signal reaches the process
that was meant, or nobody.

# Who belongs together

A killed process leaves its children running, and they may leave its group
(setpgid), its session (setsid) and its tree (a double fork). No single fact
finds them all, so there are several: [InGroup], [Tree], [Carrying] (the
environment, which is inherited for life), [Holding] (an open file, such as
the lock that the children of a step inherit) and [Writing] (a log as stdout or
stderr). [Family] joins the first three and
keeps in mind whom it has seen. Every scan skips processes that vanish meanwhile
and those that we may not look into, and leaves out this process. [Strangers] is
the opposite: who is proven not to belong.

What these facts cannot see: the environment of a program that writes over it to
change its title (nginx, PostgreSQL), the files and the environment of a process
whose first thread has ended, and whatever belongs to another user.

# The end

[Stop] ends what a finder finds: TERM, once to each, also to those that turn up
later; CONT, so that the stopped hear of it; KILL after a period of grace; and it
returns nil only when two looks in a row found nobody. Waiting is done on pidfds
and, for what can happen without anybody's death, in pauses that grow to a tenth
of a second.

# The beginning

[Start] makes a process that waits before it becomes the command. Its identity is
known, and can be made durable, before anything runs; if we are killed in
between, the pipe that it waits on closes and it ends by itself. Once it was told
to go it depends on us in nothing: its own session, no terminal, no file of ours
but the log. [Seal] keeps the files that we ourselves inherited from getting into
any child.
*/
package proc
