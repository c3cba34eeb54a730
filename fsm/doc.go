// Package fsm is the lifecycle of a session: its states, the events that
// move it between them, and nothing else.
//
//	absent       no row: nothing of the session exists, and its slot is free
//	pending-up   an up, a repair or a resume is under way, or was cut off
//	active       every step of the plan is done and was verified
//	pending-down a down or a rollback is under way, or was cut off
//	stopped      services are down; worktree, slot and ports are kept
//	failed       nobody is working on it and it is neither whole nor gone
//
// [Next] is pure. Persisting its answer, together with the journal entry that
// caused it, is the store's business, in one transaction.
//
// # Why a machine per transition
//
// This is the only package that imports looplab/fsm, and it uses it as a
// transition table. Version 1.0.3 wedges for ever after one cancelled context
// ("previous transition did not complete"), deadlocks when a callback calls
// back into it, drops misspelt callback names and accepts unknown states in
// silence. So a machine is built for each question, gets a context that cannot
// be cancelled, has no callbacks, and is thrown away; states and events are
// checked before it sees them.
package fsm
