package steps

import (
	"testing"
	"time"
)

func TestADaemonThatAHookLeftIsNotWaitedFor(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Hooks.PreUp = hookOf("setsid sleep 1000 & touch made") })
	hook := stepOf(t, r, "hook:pre_up")
	ok(t, hook.do(t))
	begun := time.Now()
	ok(t, hook.do(t))
	if took := time.Since(begun); took >= drainPatience {
		t.Errorf("it took %s", took)
	}
	ok(t, r.runs("hook:pre_up", 1)())
	ok(t, hook.compensate(t))
	ok(t, r.runs("hook:pre_up", 0)())
}

func TestZeroBytesAreRefused(t *testing.T) {
	for _, lines := range []string{
		`command = "echo \u0000"`, `ready = { command = "echo \u0000" }`, `ready = { http = "/\u0000" }`,
		"[hooks]\npre_up = \"echo \\u0000\"", "[hooks]\npost_down = { run = \"echo \\u0000\" }",
		"[hooks]\npost_up = { run = \"x\", inputs = [\"\\u0000\"] }", "[env]\nA = \"\\u0000\"",
		"[compose]\nprofiles = [\"\\u0000\"]", "[compose]\nfile = \"\\u0000\"",
	} {
		_, err := loadText(t, withWeb(lines))
		mustSay(t, err, "zero byte")
	}
	_, err := loadText(t, "mode = \"host\"\ninherit_env = [\"\\u0000\"]\napp_label = \"\\u0000\"")
	mustSay(t, err, ".ecluse.toml:2:", ".ecluse.toml:3:")
}
