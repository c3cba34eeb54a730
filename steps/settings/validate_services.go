package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"ecluse/steps/port"
)

// services checks the services one by one, and that no two share a name.
func (v Validator) services() {
	names, keys := map[string]bool{}, map[string]string{}
	for i, s := range v.Services {
		at := fmt.Sprintf("services.%d.", i)
		other := keys[EnvKey(s.Name)]
		switch {
		case s.Name == "" && !v.Has(at+"name"):
			v.Invalid(at+"name", "a service needs a name")
		case !NamePattern.MatchString(s.Name):
			v.Sayf(at+"name", "%q cannot name a service; it takes a-z, 0-9, - and _, and begins with a letter or digit", s.Name)
		case names[s.Name]:
			v.Sayf(at+"name", "two services are named %s", s.Name)
		case other != "":
			v.Sayf(at+"name", "the ports of %s and %s would both be in ECLUSE_%s_PORT; rename one", other, s.Name, EnvKey(s.Name))
		}
		names[s.Name], keys[EnvKey(s.Name)] = true, s.Name
		v.runs(at, s)
		v.ports(at, i, s)
		v.ready(at, s)
		v.composeFile(at+"compose", s.Compose)
	}
}

// runs checks where a service runs.
func (v Validator) runs(at string, s Service) {
	switch {
	case s.Run != "" && s.Run != runNative && s.Run != RunDocker:
		v.Sayf(at+"run", "run is %q; it takes native or docker", s.Run)
	case v.Mode == ModeHost && !s.Native():
		v.Invalid(at+"run", "in host mode no service runs in docker; set mode = \"hybrid\"")
	case v.Mode == ModeContainer && s.Native():
		v.Sayf(at+"run", "in container mode every service runs in docker; give %s run = \"docker\", or set mode = \"hybrid\"", s.Name)
	}
}

// ports checks the numbers and the variables of a service's ports.
func (v Validator) ports(at string, i int, s Service) {
	if s.Ported() || v.Has(at+"base_port") {
		v.say(at+"base_port", beyond("base_port", s.BasePort, 1, port.Max))
	} else {
		v.portless(at, s)
	}
	v.say(at+"host_port", beyond("host_port", s.HostPort, 0, port.Max))
	v.variables(at+"port_env", s.PortEnv)
	leases := map[string]bool{}
	for j, extra := range s.ExtraPorts {
		key := extraKey(s, i, j)
		table, _ := strings.CutSuffix(key, ".base_port")
		v.say(key, beyond(key[strings.LastIndexByte(key, '.')+1:], extra.BasePort, 1, port.Max))
		v.say(table+".container_port", beyond("container_port", extra.ContainerPort, 0, port.Max))
		v.variables(table+".port_env", extra.PortEnv)
		if name := s.ExtraName(j); leases[name] {
			v.Sayf(table+".port_env", "two extra ports of %s are in %s", s.Name, extra.PortEnv[0])
		} else {
			leases[name] = true
		}
	}
}

// portless checks a service without a base_port: it must be something without, and say
// nothing of a port that it has not got.
func (v Validator) portless(at string, s Service) {
	if s.Native() && s.Command == "" && len(s.ExtraPorts) == 0 {
		v.Sayf(at+"base_port", "service %s has neither a command nor a base_port: give it a command to run, or a base_port if it is only to have a port", s.Name)
		return
	}
	needs := func(wrong bool, key, why string) {
		if wrong {
			v.Sayf(at+key, "%s of service %s needs a base_port: %s", key, s.Name, why)
		}
	}
	needs(s.HostPort > 0, "host_port", "it says where that is published")
	needs(!s.Native() && s.PublishPrimary != nil, "publish_primary", "it says whether that is published")
	needs(s.Native() && len(s.PortEnv) > 0, "port_env", "there is no port to put into it")
	needs(s.Native() && s.Ready.TCP, "ready.tcp", "there is no port that could answer")
	needs(s.Native() && strings.HasPrefix(s.Ready.HTTP, "/"), "ready.http", "a path is one at that port; or give it a whole URL")
}

// variables checks the names of variables.
func (v Validator) variables(key string, names []string) {
	for i, name := range names {
		wrong := WrongVariable(name)
		if at := fmt.Sprintf("%s.%d", key, i); v.Has(at) {
			v.say(at, wrong)
		} else { // it is one string
			v.say(key, wrong)
		}
	}
}

// ready checks the conditions of being up.
func (v Validator) ready(at string, s Service) {
	if len(s.Ready.Log) > maxPattern {
		v.Sayf(at+"ready.log", "log is longer than %d bytes", maxPattern)
	} else if _, err := regexp.Compile(s.Ready.Log); err != nil {
		v.Sayf(at+"ready.log", "log is no regular expression: %v", err)
	}
	if h := s.Ready.HTTP; h != "" && !slices.ContainsFunc([]string{"/", "http://", "https://", "${"}, func(prefix string) bool {
		return strings.HasPrefix(h, prefix)
	}) {
		v.Sayf(at+"ready.http", "http is %q; it takes a path such as /health, or a URL", h)
	}
}

// composeFiles checks the compose files of the root.
func (v Validator) composeFiles() {
	if len(v.Compose.File) == 0 {
		v.inside("compose.file", "")
	}
	for i, file := range v.Compose.File {
		key := "compose.file"
		if at := fmt.Sprintf("%s.%d", key, i); v.Has(at) { // it is an array
			key = at
		}
		v.composeFile(key, file)
	}
}

// MaxFile bounds the path of a compose file, which is a part of its step's name.
const MaxFile = 200

// composeFile checks the path of a compose file.
func (v Validator) composeFile(key, file string) {
	switch {
	case len(file) > MaxFile:
		v.Sayf(key, "the path of a compose file has up to %d bytes; this one has %d", MaxFile, len(file))
	case strings.ContainsFunc(file, unicode.IsControl):
		v.Sayf(key, "%q has a control character in it", file)
	default:
		v.inside(key, file)
	}
}
