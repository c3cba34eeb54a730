package steps

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ecluse/saga"
	"ecluse/steps/config"
	"ecluse/steps/dotenv"
	"ecluse/steps/git"
	"ecluse/steps/settings"
)

// newEnvRig is a session whose worktree is made.
func newEnvRig(t *testing.T, entries ...settings.Inherit) *gitRig {
	t.Helper()
	r := newGitRig(t, "feat")
	r.Config.InheritEnv = nil
	for _, entry := range entries {
		r.Config.InheritEnv = append(r.Config.InheritEnv, config.OneOrTable[settings.Inherit]{Value: entry})
	}
	ok(t, r.do(t, newWorktree(r.Target, saga.Spec{})))
	return r
}

// shape is what is in a folder: "-> target", the text of a file, or "folder/".
func shape(t *testing.T, dir string) map[string]string {
	t.Helper()
	have := map[string]string{}
	ok(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || rel == "." || rel == ".git":
		case d.IsDir():
			have[rel] = "folder"
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			have[rel] = "-> " + strings.Replace(target, filepath.Dir(filepath.Dir(filepath.Dir(dir))), "ROOT", 1)
		default:
			data, _ := os.ReadFile(path)
			info, _ := d.Info()
			have[rel] = info.Mode().String() + " " + string(data)
		}
		return err
	}))
	return have
}

// differs fails the test unless the worktree has this besides what is committed.
func (r *gitRig) differs(t *testing.T, want map[string]string) {
	t.Helper()
	have := shape(t, r.s.Worktree)
	for _, name := range []string{"file", ".gitignore", settings.EnvFile} {
		delete(have, name)
	}
	if want == nil {
		want = map[string]string{}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Fatal(diff)
	}
}

func TestEnvFile(t *testing.T) {
	r := newEnvRig(t)
	r.Config.Services = []settings.Service{{Name: "my-app", BasePort: 3000, PortEnv: config.Strings{"WEB_PORT"}}}
	r.Config.Env = map[string]string{"URL": "http://localhost:${ECLUSE_MY_APP_PORT}/", "SAY": "it's $$5", "BOTH": "${URL}x"}
	r.s.Ports = map[string]int{"my-app": 3001, "my-app.debug": 9230}
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.compensate(t, step))
	for range 2 {
		ok(t, r.do(t, step))
		ok(t, r.verify(t, step))
	}
	path := filepath.Join(r.s.Worktree, settings.EnvFile)
	data, err := os.ReadFile(path)
	ok(t, err)
	have, err := dotenv.Parse(data)
	ok(t, err)
	want := map[string]string{
		"ECLUSE_SLOT": "1", "ECLUSE_SLUG": "feat", "ECLUSE_MODE": "host", "ECLUSE_BRANCH": "feat", "ECLUSE_WORKTREE": r.s.Worktree, "ECLUSE_ROOT": r.s.Root,
		"ECLUSE_MY_APP_PORT": "3001", "PORT": "3001", "WEB_PORT": "3001", "URL": "http://localhost:3001/", "SAY": "it's $5", "BOTH": "http://localhost:3001/x",
	}
	want["ECLUSE_MODE"] = r.s.Mode
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if status := r.git(t, r.s.Worktree, "status", "--porcelain"); status != "" {
		t.Errorf("not clean: %s", status)
	}
	r.put(t, r.s.Worktree, settings.EnvFile, "CHANGED=1\n")
	if r.verify(t, step) == nil {
		t.Error("a changed file was verified")
	}
	for range 2 {
		ok(t, r.compensate(t, step))
	}
	if exists(path) {
		t.Error("left")
	}
	r.Config.Env["URL"] = "${NOTHING}"
	if err := r.do(t, step); !saga.IsPermanent(err) || !errors.Is(err, dotenv.ErrUnknown) {
		t.Error(err)
	}
}

// TestEnvFileCommitted: a committed file is not written to, nor removed; down has
// no work to save. One that was committed after it was written is put back.
func TestEnvFileCommitted(t *testing.T) {
	for _, later := range []bool{false, true} {
		r := newEnvRig(t)
		step := newEnv(r.Target, saga.Spec{})
		if later {
			ok(t, r.do(t, step))
		} else {
			r.put(t, r.s.Worktree, settings.EnvFile, "OLD=1\n")
		}
		r.git(t, r.s.Worktree, "add", "-f", settings.EnvFile)
		r.git(t, r.s.Worktree, "commit", "-qm", "oops")
		if err := r.do(t, step); !saga.IsPermanent(err) {
			t.Errorf("written to: %v", err)
		}
		if !later {
			r.put(t, r.s.Worktree, settings.EnvFile, "MINE=1\n")
		}
		ok(t, r.compensate(t, step))
		status := r.git(t, r.s.Worktree, "status", "--porcelain")
		if later && status != "" || !later && !strings.HasPrefix(status, "M") {
			t.Errorf("status: %s", status)
		}
	}
}

// TestEnvMount: a copy in whose place something is mounted is not emptied.
func TestEnvMount(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: "modules", Mode: "copy"})
	r.put(t, r.s.Root, "modules/precious", "x")
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	at := filepath.Join(r.s.Worktree, "modules")
	if err := unix.Mount(filepath.Join(r.s.Root, "modules"), at, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	var mount *git.MountError
	if err := r.compensate(t, step); !errors.As(err, &mount) || !saga.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	if !exists(filepath.Join(r.s.Root, "modules/precious")) {
		t.Fatal("removed")
	}
	ok(t, unix.Unmount(at, 0))
	ok(t, r.compensate(t, step))
}

// TestInherit is the table of what is made of what, and what is left of it.
func TestInherit(t *testing.T) {
	link, copied, shared := settings.Inherit{File: ".env"}, settings.Inherit{File: ".env", Mode: "copy"}, settings.Inherit{File: ".env", Mode: "reflink"}
	nothing := map[string]string{}
	isLink, isCopy := map[string]string{".env": "-> ROOT/.env"}, map[string]string{".env": "-rw-r--r-- A=1\n"}
	own, other := map[string]string{".env": "-rw-r--r-- MINE=1\n"}, map[string]string{".env": "-> elsewhere"}
	for _, tt := range []struct {
		name  string
		entry settings.Inherit
		there map[string]string
		after map[string]string
		left  map[string]string
	}{
		{"link", link, nil, isLink, nothing},
		{"link, right one there", link, isLink, isLink, isLink},
		{"link, other there", link, other, isLink, nothing},
		{"link, file there", link, own, own, own},
		{"copy", copied, nil, isCopy, nothing},
		{"copy, link there", copied, isLink, isCopy, nothing},
		{"copy, other there", copied, other, isCopy, nothing},
		{"copy, file there", copied, own, own, own},
		{"reflink", shared, nil, isCopy, nothing},
		{"missing", settings.Inherit{File: "none", Mode: "copy"}, nil, nothing, nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newEnvRig(t, tt.entry)
			r.put(t, r.s.Root, ".env", "A=1\n")
			path := filepath.Join(r.s.Worktree, ".env")
			if what := tt.there[".env"]; strings.HasPrefix(what, "-> ") {
				ok(t, os.Symlink(strings.Replace(what[3:], "ROOT", r.s.Root, 1), path))
			} else if what != "" {
				r.put(t, r.s.Worktree, ".env", "MINE=1\n")
			}
			step := newEnv(r.Target, saga.Spec{})
			for range 2 {
				ok(t, r.do(t, step))
				ok(t, r.verify(t, step))
				r.differs(t, tt.after)
			}
			for range 2 {
				ok(t, r.compensate(t, step))
				r.differs(t, tt.left)
			}
			if data, err := os.ReadFile(filepath.Join(r.s.Root, ".env")); err != nil || string(data) != "A=1\n" {
				t.Errorf("the source became %q, %v", data, err)
			}
		})
	}
}

// TestInheritTrackedLink: a link that the branch tracks is not replaced.
func TestInheritTrackedLink(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: ".env"})
	r.put(t, r.s.Root, ".env", "A=1\n")
	ok(t, os.Symlink("file", filepath.Join(r.s.Worktree, ".env")))
	r.git(t, r.s.Worktree, "add", "-f", ".env")
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	ok(t, r.compensate(t, step))
	r.differs(t, map[string]string{".env": "-> file"})
}

// TestInheritChanged: a copy that was changed is the user's, and so is a link that
// was replaced.
func TestInheritChanged(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: ".env"}, settings.Inherit{File: "c", Mode: "copy"}, settings.Inherit{File: "d", Mode: "copy"}, settings.Inherit{File: "same", Mode: "copy"})
	for _, name := range []string{".env", "c", "d/x", "same"} {
		r.put(t, r.s.Root, name, "A=1\n")
	}
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	ok(t, os.Remove(filepath.Join(r.s.Worktree, ".env")))
	r.put(t, r.s.Worktree, ".env", "MINE=1\n")
	r.put(t, r.s.Worktree, "c", "MINE=1\n")
	r.put(t, r.s.Worktree, "d/y", "MINE=1\n")
	r.put(t, r.s.Root, "same", "the source may change\n")
	ok(t, r.compensate(t, step))
	r.differs(t, map[string]string{
		".env": "-rw-r--r-- MINE=1\n", "c": "-rw-r--r-- MINE=1\n",
		"d": "folder", "d/x": "-rw-r--r-- A=1\n", "d/y": "-rw-r--r-- MINE=1\n",
	})
}

func TestInheritFolder(t *testing.T) {
	for _, mode := range []string{"symlink", "copy", "reflink"} {
		t.Run(mode, func(t *testing.T) {
			r := newEnvRig(t, settings.Inherit{File: "deep/mods", Mode: mode})
			r.put(t, r.s.Root, "deep/mods/a/run", "x")
			r.put(t, r.s.Root, "deep/mods/b", "y")
			source := filepath.Join(r.s.Root, "deep/mods")
			ok(t, errors.Join(os.Chmod(filepath.Join(source, "a/run"), 0o755), os.Chmod(filepath.Join(source, "a"), 0o500), os.Symlink("a/run", filepath.Join(source, "bin"))))
			step := newEnv(r.Target, saga.Spec{})
			want := map[string]string{"deep": "folder", "deep/mods": "-> ROOT/deep/mods"}
			if mode != "symlink" {
				want = map[string]string{
					"deep": "folder", "deep/mods": "folder", "deep/mods/a": "folder", "deep/mods/a/run": "-rwxr-xr-x x",
					"deep/mods/b": "-rw-r--r-- y", "deep/mods/bin": "-> a/run",
				}
			}
			for range 2 {
				ok(t, r.do(t, step))
				ok(t, r.verify(t, step))
				r.differs(t, want)
			}
			ok(t, r.compensate(t, step))
			r.differs(t, map[string]string{"deep": "folder"})
		})
	}
}

// TestInheritCut: half a copy is finished, or removed.
func TestInheritCut(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: "d", Mode: "copy"})
	r.put(t, r.s.Root, "d/x", "A=1\n")
	step := newEnv(r.Target, saga.Spec{})
	half := func() {
		ok(t, r.do(t, step))
		ok(t, os.RemoveAll(filepath.Join(r.s.Worktree, "d")))
		r.put(t, r.s.Worktree, part("d")+"/x", "A")
		r.put(t, r.s.Worktree, "."+settings.EnvFile+"123", "A=")
	}
	half()
	if r.verify(t, step) == nil {
		t.Error("half a copy was verified")
	}
	ok(t, r.do(t, step))
	r.differs(t, map[string]string{"d": "folder", "d/x": "-rw-r--r-- A=1\n"})
	half()
	ok(t, r.compensate(t, step))
	r.differs(t, nil)
	r.fail = 1
	if err := r.do(t, step); err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
}

// TestInheritStays: nothing leads out of the worktrees, not even through links.
func TestInheritStays(t *testing.T) {
	for name, prepare := range map[string]func(r *gitRig, t *testing.T, outside string) settings.Inherit{
		"source folder is a link out": func(r *gitRig, t *testing.T, outside string) settings.Inherit {
			ok(t, os.Symlink(outside, filepath.Join(r.s.Root, "d")))
			return settings.Inherit{File: "d/secret", Mode: "copy"}
		},
		"source folder is a link out, linked": func(r *gitRig, t *testing.T, outside string) settings.Inherit {
			ok(t, os.Symlink(outside, filepath.Join(r.s.Root, "d")))
			return settings.Inherit{File: "d/secret"}
		},
		"source is a link out": func(r *gitRig, t *testing.T, outside string) settings.Inherit {
			ok(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(r.s.Root, "x")))
			return settings.Inherit{File: "x", Mode: "copy"}
		},
		"target folder is a link out": func(r *gitRig, t *testing.T, outside string) settings.Inherit {
			r.put(t, r.s.Root, "d/new", "x")
			ok(t, os.Symlink(outside, filepath.Join(r.s.Worktree, "d")))
			return settings.Inherit{File: "d/new", Mode: "copy"}
		},
		"target folder is a link out, linked": func(r *gitRig, t *testing.T, outside string) settings.Inherit {
			r.put(t, r.s.Root, "d/new", "x")
			ok(t, os.Symlink(outside, filepath.Join(r.s.Worktree, "d")))
			return settings.Inherit{File: "d/new"}
		},
		"above": func(*gitRig, *testing.T, string) settings.Inherit {
			return settings.Inherit{File: "../x", Mode: "copy"}
		},
		"git": func(*gitRig, *testing.T, string) settings.Inherit {
			return settings.Inherit{File: ".git/config", Mode: "copy"}
		},
		"all": func(*gitRig, *testing.T, string) settings.Inherit { return settings.Inherit{File: ".", Mode: "copy"} },
		"the worktree": func(*gitRig, *testing.T, string) settings.Inherit {
			return settings.Inherit{File: ".ecluse", Mode: "copy"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newEnvRig(t)
			outside := t.TempDir()
			r.put(t, outside, "secret", "x")
			entry := prepare(r, t, outside)
			before := shape(t, r.s.Worktree)
			r.Config.InheritEnv = []config.OneOrTable[settings.Inherit]{{Value: entry}}
			step := newEnv(r.Target, saga.Spec{})
			if err := r.do(t, step); !saga.IsPermanent(err) {
				t.Errorf("%v", err)
			}
			ok(t, r.compensate(t, step))
			if diff := cmp.Diff(before, shape(t, r.s.Worktree)); diff != "" {
				t.Error(diff)
			}
			if entries, _ := os.ReadDir(outside); len(entries) != 1 {
				t.Errorf("outside: %v", entries)
			}
		})
	}
}

// TestEnvGone: with the worktree everything is gone.
func TestEnvGone(t *testing.T) {
	r := newEnvRig(t, settings.Inherit{File: ".env"})
	r.put(t, r.s.Root, ".env", "A=1\n")
	step := newEnv(r.Target, saga.Spec{})
	ok(t, r.do(t, step))
	ok(t, os.RemoveAll(r.s.Worktree))
	ok(t, r.compensate(t, step))
}

// TestReflinkSays: what was shared and what was not is told.
func TestReflinkSays(t *testing.T) {
	for want, c := range map[string]copier{
		"a copy": {copied: 2},
		"a reflink: it takes no space until it is changed": {share: true, shared: 2},
		"a copy: the file system cannot share blocks":      {share: true, copied: 2},
		"1 files as reflinks, 2 as copies":                 {share: true, shared: 1, copied: 2},
	} {
		if have := c.how(); have != want {
			t.Errorf("%+v: %q", c, have)
		}
	}
}
