package steps

import (
	"ecluse/steps/docker"
	"ecluse/steps/settings"
)

// What steps would have noted, for those who put a session together out of what is
// there (package rebuild). The form and the keys of facts are their steps' alone.

// Facts are what a step has noted, by the keys under which it looks for them.
type Facts map[string]any

// Facts are the fact under its key.
func (f WorktreeFact) Facts() Facts { return Facts{worktreeFactKey: f} }

// Facts are the fact under its key.
func (f ComposeFact) Facts() Facts { return Facts{composeFactKey: f} }

// Facts are the fact under its key.
func (f ServiceFact) Facts() Facts { return Facts{factProcess: f} }

// EnvFacts are those of the step that writes [settings.EnvFile], which it has written,
// and that has made these links.
func EnvFacts(links []string) Facts {
	made := map[string]inherited{}
	for _, name := range links {
		made[name] = inherited{Mode: settings.InheritLink}
	}
	return Facts{envWritten: true, envMade: made}
}

// PlaceFacts are those of a step that has settled where the containers are: on the
// machine host, which is empty for this one.
func PlaceFacts(at docker.Place, host string) Facts {
	return Facts{placeFactKey: placeFact{Place: at, Host: host}}
}

// VolumesFacts are those of the step that answers for the volumes of compose projects,
// and that a run began.
func VolumesFacts(projects []string, run string) Facts {
	return Facts{volumesFactKey: volumesFact{Projects: projects, Run: run}}
}

// DatabaseFacts are those of a step whose database may be there. Nobody has noted it, so
// that the database's label must say whose it is before anything is done to it.
func DatabaseFacts(name, run string) Facts {
	return Facts{databaseFactKey: databaseFact{Name: name, Run: run, Unproven: true}}
}

// TmuxFacts are those of the step whose tmux server runs in a worktree.
func TmuxFacts(worktree string) Facts { return Facts{factTmux: tmuxFact{Place: place(worktree)}} }

// FolderMark tells a folder from another one that has its name later, as facts have it;
// empty if there is no such folder.
func FolderMark(dir string) string { return place(dir) }
