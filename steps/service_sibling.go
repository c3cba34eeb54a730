package steps

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ecluse/steps/proc"
	"ecluse/steps/settings"
)

// sibling is the other service of the session that has started what listens at a port,
// empty if none has.
func (s service) sibling(number int) string {
	if number == 0 {
		return ""
	}
	for _, id := range proc.Listener(number) {
		session, _ := proc.Variable(id.PID, settings.EnvSession)
		step, _ := proc.Variable(id.PID, settings.EnvStep)
		if name, is := strings.CutPrefix(step, servicePrefix); is && step != s.step && session == s.Session().ID {
			return name
		}
	}
	return ""
}

// wordsOfTaken are in the last words of a program that did not get its port.
var wordsOfTaken = regexp.MustCompile(`(?i)EADDRINUSE|address (?:is )?already in use|port .{0,40}(?:in use|occupied|taken)`)

// collides tells of two services of the session that want one port: somebody else's has
// this one's, or this one, whose last words these are, has wanted another's.
func (s service) collides(tail string) string {
	own := s.Session().Ports[s.spec.Name]
	if other := s.sibling(own); other != "" {
		return fmt.Sprintf("%d is listened on by service %s of this session: %s", own, other, portOf(other))
	}
	if !wordsOfTaken.MatchString(tail) {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(s.Session().Ports)) {
		number := s.Session().Ports[name]
		named := regexp.MustCompile(`(?:^|\D)` + strconv.Itoa(number) + `(?:\D|$)`).MatchString(tail)
		if !s.leased(name) && named {
			return fmt.Sprintf("%d is the port of service %s of this session: %s", number, name, portOf(s.spec.Name))
		}
	}
	return ""
}

// leased reports whether a lease is the service's, its own or that of a further port.
func (s service) leased(name string) bool {
	return name == s.spec.Name || strings.HasPrefix(name, s.spec.Name+".")
}

// portOf tells where a service finds its port.
func portOf(name string) string {
	return fmt.Sprintf("PORT is that of the first service; %s's is $ECLUSE_%s_PORT", name, settings.EnvKey(name))
}
