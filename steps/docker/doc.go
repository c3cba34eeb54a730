/*
Package docker knows a repository's compose file and the engine that runs it.

# The model

[Load] reads the compose file of a worktree with compose-go, the library that
Compose itself uses: includes, extends, profiles, env files, interpolation and
several files are resolved as `docker compose config` resolves them.
[Model.Published] says what it publishes, so that a port can be leased for each,
and [Model.Rewrite] turns it into the private file of one session, in which nothing
is left that a second session could collide with:

  - every published port is the session's lease; what the file says is never
    published;
  - container_name is dropped, and stays as a name in the service's networks;
  - volumes and networks have names of the project's own, external ones apart;
  - what is built gets an image name of the session's own, also in the Dockerfiles
    of what is built from it;
  - fixed subnets and addresses are dropped;
  - everything carries the session's labels.

What cannot be made the session's own (an external network, the host's network, a
bind mount from outside the worktree) is said in a warning.

# The engine

[Engine] is the docker command line. Contexts, DOCKER_HOST and credentials are
what they are for the user who runs it, because the same program reads them. Five
facts shape it:

  - A client that is killed does not stop the daemon: containers appear for a
    while after it. [Engine.Down] therefore looks until nothing is left and
    nothing more appears, and never believes an exit status.
  - Teardown goes by label, not by file: the file, and the worktree that it came
    from, may be gone.
  - The environment of whoever takes a session down may lead to another engine,
    where nothing of it is. [Place] is remembered with what was made there.
  - A daemon that does not answer proves nothing. [ErrUnreachable] is returned,
    and nobody may conclude that anything is gone.
  - A question is a process, and ten sessions ask at once. [At] asks for nothing: the
    first answer shows that the engine is there. A listing that tells all is well
    spares a closer look, and one of all containers those by project and by session.
*/
package docker
