/*
Package look tells what there really is, of one session or of none: how its services
are ([Observe]), which processes are gone ([Dead]) and where they listen ([Listening]),
which steps are no longer what they were ([Drifts]), whose a process is ([Whose]), what
runs in a worktree without a session ([Discover]), and what carries our marks and
belongs to nobody ([Search]).

It reads what the steps have recorded, through the accessors of package steps
(ServiceOf, ComposeOf, WorktreeOf), and compares it with /proc, git and Docker. Looking
changes nothing (design promise P7); only a [Residue] that is told to goes. It stands
above package steps, which never asks it anything: a step that must know whether its
own effect is there has Verify.
*/
package look
