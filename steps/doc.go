/*
Package steps holds the kinds of steps that a session is made of, one file each, and
makes a plan of them out of a configuration.

# A kind of step

A kind is a file with three things:

	planX(p *planner)                        adds its steps to a plan, out of the configuration
	newX(t *Target, spec saga.Spec)          builds one again from a plan that was stored
	Do, Compensate and mostly Verify         see saga.Step for their contract

one line in the registry, whose order is the order of an up, and one fixture in
fixtures_test.go, which brings the conformance suite: done twice, compensated
twice, compensated without ever having been done, cut off at every fact that it
saves. Nothing else changes.

A step sees its session through its [Target] and can write nothing but facts
([saga.Attempt.Save]) and leases. What it must know to compensate it saves before
it acts, or it follows from names that are the same in every attempt. It runs
programs only through steps/run and steps/proc, with the context that it was
given: that is how they get its log, its lock and its mark ([Kit]). A process that
gives all of them away (its own session, no inherited file, an empty environment:
`env -i setsid daemon` that closes its files) cannot be told from a stranger's once
the hook that started it has succeeded, and stays when the session goes.

# What is kept

A session keeps the plan and the configuration that it was made from. What was
done is compensated as it was planned, whatever `.ecluse.toml` says by then.

# Several compose files

The services that run in Docker are in groups, one for each compose file that the
configuration names, the root's first. A group is a compose project of its own, with a
step of its own, "compose:<file>", beside the others: two folders that both have a
service db are two projects for Compose, too. What the groups share are the names of
leases, and with them of variables (ECLUSE_DB_PORT). A service that the configuration
names keeps its name; of others the first keeps it, and that of a later file gets one
with its folder, ECLUSE_WORKER_DB_PORT.

# Beside

	settings the configuration as data, which this package makes plans of
	look     what there really is: status, whose-pid, what gc finds. It asks this package
	detect   what init finds in a repository
	rebuild  sessions made anew out of what is there, for doctor --rebuild

# Below

	config   reads a TOML file strictly, with all problems and their places
	git      worktrees and branches, through the git binary
	docker   the compose file as a model, and the engine, through the docker CLI
	postgres databases, and templates to copy them from
	proc     facts about processes, and starting and stopping them
	run      programs that are waited for
	port     which ports a slot may take, and which are free
	dotenv   files of variables that every reader understands alike
	plain    opening what should be a plain file, and might be a pipe

None of them knows a session.
*/
package steps
