/*
Package detect finds out what is in a repository, for `init`: where its services should
run, which services there are, at which ports and by which commands, and writes the
configuration for that.

	Survey    what the compose files and manifests of the repository say
	Detect    points for each mode, and which one they propose
	Template  the commented `.ecluse.toml` of what was found

It reads files and asks nobody: what a detection should know of the machine it is told
([Machine]). It makes no session, so it knows settings, and not steps.
*/
package detect
