package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecluse/saga/session"
	"ecluse/steps"
	"ecluse/steps/docker"
	"ecluse/steps/look"
	"ecluse/store"
)

// logSubject is the session whose logs are shown. Of one that is gone only the key, the
// id and the failure are known.
type logSubject struct {
	session.Session
	living bool
}

// plans reports whether a step of that name may write a log yet.
func (s logSubject) plans(name string) bool {
	for _, spec := range s.Plan.Steps {
		_, short, _ := strings.Cut(spec.Name, ":")
		if spec.Name == name || short == name || spec.Reverse == name {
			return true
		}
	}
	return false
}

// gone is what is known of the last session of a key.
func (a *app) gone(key session.Key) (logSubject, bool, error) {
	runs, err := a.store.Runs(store.Filter{Repo: key.Repo, Slug: key.Slug})
	if len(runs) == 0 {
		return logSubject{}, false, err
	}
	last := runs[len(runs)-1]
	s := session.Session{Key: key, ID: last.Session, Branch: last.Branch, Root: last.Root, Failure: last.Failure}
	return logSubject{Session: s}, true, nil
}

// logFile is what one step wrote in a run, or a container.
type logFile struct {
	Step, Service string
	Run           string
	Compensating  bool
	Path          string
	called        string // what people call the step then, or the container, if that is not its name
	index         int
	container     *look.Contained
	// kept: a container's that is gone, in whose place it is.
	kept bool
}

// contained reports whether it is, or was, a container's.
func (l logFile) contained() bool { return l.container != nil || l.kept }

// title names the log for people.
func (l logFile) title() string {
	switch {
	case l.kept:
		return l.Service
	case l.called != "":
		return l.called
	case l.Compensating:
		return l.Step + " (compensating)"
	default:
		return l.Step
	}
}

// where says where the log is.
func (l logFile) where() string {
	if l.container != nil {
		return "container " + l.container.ID[:min(12, len(l.container.ID))]
	}
	return l.Path
}

// size is that of the file, 0 if it is gone.
func (l logFile) size() int64 {
	info, err := os.Stat(l.Path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// logList lists the logs of a session: of each step that of the newest run that has
// one, of what was compensated only that of the last run. What is kept of a container is
// there while the container is not.
func (a *app) logList(ctx context.Context, s logSubject) ([]logFile, error) {
	runs, err := a.store.Runs(store.Filter{Repo: s.Repo, Slug: s.Slug})
	if err != nil {
		return nil, err
	}
	names, titles, err := a.stepNames(s)
	if err != nil {
		return nil, err
	}
	var list []logFile
	newest := true
	for _, run := range slices.Backward(runs) {
		if run.Session != s.ID {
			continue
		}
		dir := filepath.Join(a.store.LogDir(s.Key), run.ID)
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list the logs of session %s: %w", s.Slug, err)
		}
		for _, entry := range entries {
			one, ok := parseLogName(entry.Name(), names)
			one.Run, one.Path = run.ID, filepath.Join(dir, entry.Name())
			if one.Compensating {
				one.called = titles[one.Step]
			}
			if ok && (newest || !one.Compensating) && !slices.ContainsFunc(list, one.supersededBy) {
				list = append(list, one)
			}
		}
		newest = false
	}
	slices.SortStableFunc(list, func(a, b logFile) int { return a.index - b.index })
	return withContainers(list, a.containerLogs(ctx, s)), nil
}

// withContainers adds the logs of containers that are there, in place of what was kept
// of earlier ones.
func withContainers(list, there []logFile) []logFile {
	list = slices.DeleteFunc(list, func(one logFile) bool {
		return one.kept && slices.ContainsFunc(there, func(c logFile) bool { return c.Step == one.Step && c.Service == one.Service })
	})
	return append(list, there...)
}

// supersededBy reports whether a log of a run that is as new, or newer, stands for this
// one. What is kept of containers goes with the log of their step.
func (l logFile) supersededBy(other logFile) bool {
	if other.Step != l.Step || other.Compensating != l.Compensating {
		return false
	}
	return other.Run != l.Run || other.Service == l.Service && other.kept == l.kept
}

// stepNames are the names of the session's steps, by what files are called after them,
// and, by these names, what people call them on the way back where that is another.
func (a *app) stepNames(s logSubject) (names, titles map[string]string, err error) {
	history, err := a.store.History(store.Filter{Repo: s.Repo, Slug: s.Slug})
	if err != nil && len(history) == 0 {
		return nil, nil, err
	}
	names, titles = map[string]string{}, map[string]string{}
	add := func(step string) {
		file := filepath.Base(steps.LogOf{Key: s.Key, Step: step}.Path(a.store))
		_, file, _ = strings.Cut(strings.TrimSuffix(file, ".log"), "-")
		names[file] = step
	}
	for _, entry := range history {
		if entry.ID == s.ID && entry.Step != "" {
			add(entry.Step)
		}
		if entry.ID == s.ID && entry.Title != "" {
			titles[entry.Step] = entry.Title
		}
	}
	for _, spec := range s.Plan.Steps {
		add(spec.Name)
	}
	return names, titles, nil
}

// parseLogName reads "03-service-web.log", "05-hook-post_up.compensate.log",
// "05-compose+db.log".
func parseLogName(file string, names map[string]string) (logFile, bool) {
	number, rest, ok := strings.Cut(file, "-")
	index, err := strconv.Atoi(number)
	rest, isLog := strings.CutSuffix(rest, ".log")
	if !ok || err != nil || !isLog {
		return logFile{}, false
	}
	rest, compensating := strings.CutSuffix(rest, ".compensate")
	rest, service, kept := steps.CutService(rest)
	step, known := names[rest]
	if !known {
		step = rest
	}
	l := logFile{Step: step, Service: service, Compensating: compensating, index: index, kept: kept}
	if name, ok := strings.CutPrefix(step, "service:"); ok {
		l.Service = name
	}
	return l, true
}

// containerLogs are those of the containers of a living session. Without Docker there
// are still the others.
func (a *app) containerLogs(ctx context.Context, s logSubject) []logFile {
	if !s.living {
		return nil
	}
	containers, err := look.ContainersOf(ctx, s.Session)
	if err != nil {
		fmt.Fprintf(a.Stderr, "warning: %v\n", err)
	}
	services := map[string]int{}
	for _, c := range containers {
		services[c.Service]++
	}
	var list []logFile
	for _, c := range containers {
		called := c.Service
		if services[c.Service] > 1 { // which of them
			called = strings.TrimPrefix(c.Name, c.Project+"-")
		}
		list = append(list, logFile{Step: c.Step, Service: c.Service, called: called, container: &c})
	}
	return list
}

// write writes the log, or the end of it that was asked for.
func (l logFile) write(ctx context.Context, o logsOptions, out io.Writer) error {
	if l.container != nil {
		return l.container.Logs(ctx, docker.LogOptions{Tail: o.lines()}, out)
	}
	file, err := os.Open(l.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", l.Step, err)
	}
	defer file.Close()
	from, err := tailOffset(file, o.lines())
	if err == nil {
		_, err = file.Seek(from, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(out, file)
	}
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", l.Step, err)
	}
	return nil
}

// lines is how many lines were asked for, -1 for all.
func (o logsOptions) lines() int {
	if o.all {
		return -1
	}
	return o.tail
}

// tailOffset is where the last lines of a file begin. A last line that is not ended
// counts.
func tailOffset(file *os.File, lines int) (int64, error) {
	info, err := file.Stat()
	if err != nil || lines < 0 {
		return 0, err
	}
	if lines == 0 {
		return info.Size(), nil
	}
	const block = 64 << 10
	buffer := make([]byte, block)
	end := info.Size()
	for pos := end; pos > 0; {
		from := max(0, pos-block)
		part := buffer[:pos-from]
		if _, err := file.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for {
			at := bytes.LastIndexByte(part, '\n')
			if at < 0 {
				break
			}
			if from+int64(at) != end-1 { // the end of the last line begins none
				if lines--; lines <= 0 {
					return from + int64(at) + 1, nil
				}
			}
			part = part[:at]
		}
		pos = from
	}
	return 0, nil
}

// logView is a log in JSON.
type logView struct {
	Step         string     `json:"step"`
	Service      string     `json:"service,omitempty"`
	Run          string     `json:"run,omitempty"`
	Compensating bool       `json:"compensating"`
	Path         string     `json:"path,omitempty"`
	Container    string     `json:"container,omitempty"`
	Size         int64      `json:"size"`
	ModifiedAt   *time.Time `json:"modified_at"`
	Lines        []string   `json:"lines"`
}

// jsonLines is how many lines of each log are in the JSON unless another number is
// asked for.
const jsonLines = 1000

// writeLogsJSON prints the logs as an array.
func (a *app) writeLogsJSON(ctx context.Context, o logsOptions, list []logFile) error {
	if o.all {
		o.all, o.tail = false, jsonLines
	}
	views := []logView{}
	for _, one := range list {
		v := logView{Step: one.Step, Service: one.Service, Run: one.Run, Compensating: one.Compensating, Path: one.Path, Lines: []string{}}
		if info, err := os.Stat(one.Path); err == nil {
			at := info.ModTime()
			v.Size, v.ModifiedAt = info.Size(), &at
		}
		if one.container != nil {
			v.Container = one.container.ID
		}
		var text bytes.Buffer
		if err := one.write(ctx, o, &text); err != nil {
			return err
		}
		if text.Len() > 0 {
			v.Lines = strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		}
		views = append(views, v)
	}
	return writeJSON(a.Stdout, views)
}
