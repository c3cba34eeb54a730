/*
Package rebuild makes the records of sessions anew out of what is there, when the state
file is lost: for `doctor --rebuild`.

	Traces      where evidence is looked for; Gather collects it
	Evidence    what was found of one session: environment file, processes,
	            containers, worktree, or the state of the original tool
	Rebuilding  turns evidence, and what a copy of the state still has, into rows

Nothing is guessed. A session that is made of evidence is failed, with the facts that its
steps need to compensate, so that an up looks at every step and a down removes all; what
contradicts itself is a [Doubt], and is left to the user. What a down would remove for good
needs proof: a worktree and links their mark ([steps.WorktreeMark]), a database its label.
It knows the names of steps as package look does, and like that stands above them; the form
of their facts it leaves to them ([steps.Facts]).
*/
package rebuild
