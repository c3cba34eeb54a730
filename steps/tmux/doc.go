/*
Package tmux runs programs in the windows of a tmux server of their own, through the
tmux binary.

# One server, one session

A [Server] has one session, and its socket is a file in a private folder: nobody
else's tmux, and no configuration of one, is ever touched. Every target is exact:
the session's number, which stays when the user renames it, and "=name" of a window, for
tmux takes the beginning of a name for a name otherwise. No call but
[Server.Start] can start a server (-N). When its last window is gone the server ends
by itself.

# A window's program

[Server.Open] makes a window whose program waits at a gate, a FIFO, as proc.Start
has it: its identity is known, and can be made durable, before anything runs. If we
are killed in between it ends, or is found by its environment. The program's own
environment is in a private file, for command lines can be read by everybody. Without
a gate the program begins at once, so that respawn-pane works later on.

What the window shows is also appended to a log. A window stays when its program has
ended, until [Server.Close], so that one can look at its last words.
*/
package tmux
