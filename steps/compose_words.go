package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"ecluse/saga"
	"ecluse/steps/docker"
	"ecluse/steps/run"
)

// serviceMark stands between the name of a step's log and the service whose words a
// file beside it holds: "05-compose+db.log". No name of a step has one.
const serviceMark = "+"

// CutService splits the name of a file of logs, without its ending, into that of the
// step's log and the service whose last words it holds. Compensation removes containers,
// and with them what they have said.
func CutService(name string) (step, service string, ok bool) {
	return strings.Cut(name, serviceMark)
}

// remember keeps why the services did not come up, and what they have said, before
// compensation removes their containers: in the step's log of those that are at fault,
// in a file each of all. It only explains, so what cannot be had is told in the log.
func (c compose) remember(ctx context.Context, a *saga.Attempt, fact ComposeFact, why error) {
	log := run.From(ctx).Log
	if ctx.Err() != nil || log == nil {
		return
	}
	verdict, _, _ := strings.Cut(why.Error(), "\n")
	fmt.Fprintf(log, "\n%s\n", verdict)
	words, err := docker.At(fact.Place).Words(ctx, fact.Project)
	guilty := atFault(why)
	for _, service := range slices.Sorted(maps.Keys(words)) {
		err = errors.Join(err, c.keep(service, words[service]))
		if guilty[service] || len(guilty) == 0 {
			quote(log, service, words[service])
		}
	}
	if err != nil {
		a.Report("what the services have said is not all in the log: %v", err)
	}
}

// atFault are the services that an error names.
func atFault(why error) map[string]bool {
	guilty := map[string]bool{}
	var one *docker.ServiceError
	var late *docker.TimeoutError
	switch {
	case errors.As(why, &late):
		for _, s := range late.Waiting {
			guilty[s.Service] = true
		}
	case errors.As(why, &one):
		guilty[one.Service] = true
	}
	return guilty
}

// quote writes the words of a service with its name before each line.
func quote(log io.Writer, service string, words []byte) {
	var b bytes.Buffer
	for line := range bytes.Lines(words) {
		fmt.Fprintf(&b, "%s | %s", service, line)
	}
	_, _ = log.Write(b.Bytes())
}

// keep writes the words of a service to a file of its own.
func (c compose) keep(service string, words []byte) error {
	name, isLog := strings.CutSuffix(c.LogFile, ".log")
	if !isLog || len(words) == 0 {
		return nil
	}
	file, err := os.OpenFile(name+serviceMark+service+".log", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep the output of service %s: %w", service, err)
	}
	_, err = file.Write(words)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("keep the output of service %s: %w", service, err)
	}
	return nil
}
