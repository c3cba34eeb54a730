// Package git makes, inspects and removes worktrees and their branches, with the
// git binary (2.36 or newer; written against 2.39). git is the only writer of a
// repository that people trust, so everything that it can do is left to it; its
// own files are read where its answers are not exact enough, and removed where it
// refuses to.
//
// What the package promises, and why it takes more than a call of git:
//
//   - Adding never writes the repository's configuration. `git worktree add` from
//     a remote branch sets the upstream, and of 16 at once some lose on the lock of
//     the config file, after they made their branch. Here the branch is made first,
//     compared and swapped; the upstream is set by [Repo.Track], one at a time.
//   - A worktree says itself whether it is finished. git locks a worktree
//     ("initializing") while it checks out, but unlocks it before the post-checkout
//     hook has run. Here it is added locked, with a reason that only [Repo.Add]
//     gives, and unlocked when git, the hook included, ended well. So a worktree is
//     half made if, and only if, it is locked for one of the two reasons, whatever
//     was killed and when. Missing files prove nothing: a user may delete files.
//   - Removing ends with nothing left, or an error. A worktree that was cut off in
//     its making is refused by `git worktree remove`, and a killed git can leave a
//     directory without an entry, an entry without a directory, or an entry that does
//     not name one. It also removes the entry when it could not remove a file, and
//     empties what is mounted in the worktree. Here the tree goes first, through no
//     link and into no mount, and the entry last and at once, so that a removal can
//     be tried again. Whoever locked a worktree with `git worktree lock` is respected.
//   - Removing loses no work, also not what is written while it is saved: the worktree
//     is put aside and looked at once more before its first file goes. [Repo.SaveTrash] makes a commit of what is not
//     committed, with an index of its own and without hooks, so that neither the
//     worktree nor its index changes. What a commit cannot hold, a repository
//     inside the worktree, is an error instead ([ErrNested]). Where the directory is
//     gone, the entry alone still knows what was staged and what was committed on no
//     branch; that is saved too.
//   - ecluse may run inside a git hook, so the variables by which git tells its
//     children where they are do not reach git from here.
//
// Locks of git that another process holds for a moment are waited for, with
// jitter; [Patient] bounds the sum and says what is waited for. The half-written
// entry of a worktree, by which a killed git keeps every git from all worktrees, is
// removed if it is ours and provably dead (/proc). Between processes of ecluse, the config file and info/exclude are
// guarded by a flock (Linux) on the common directory itself, which leaves no
// file behind.
package git
