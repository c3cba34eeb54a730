package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWeakness runs one script for each fault of the tool that this one replaces
// that no other test shows to be gone: it does what made the fault appear, and
// looks whether it does.
func TestWeakness(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/weakness")
}

// weaknesses are the faults W1 to W51 of that tool, and where it is shown that they are
// not ours, beside the scripts wNN_… of the weakness: tests as "folder Test…", and
// scripts as "folder/name", of testdata.
var weaknesses = map[int][]string{
	1:  {"cmd/ecluse TestCrashAtEveryPoint", "cmd/ecluse TestCrashWithContainers", "cmd/ecluse TestCrashAroundTmux"},
	2:  {"script/recover"},
	3:  {"cmd/ecluse TestASignalInAStubbornHookRollsEverythingBack", "cmd/ecluse TestASecondSignalLeavesTheSessionToRecover", "script/failing-compensation"},
	4:  {"steps/git TestAddHook", "cmd/ecluse TestServicesThatFail"},
	5:  {"saga/session TestARevertedRepairKeepsWhatWorked", "saga/session TestAFailingRepairKeepsWhatWorked"},
	6:  {"cmd/ecluse TestTheEngineDoesNotAnswer", "cmd/ecluse TestTheEngineGoesAway"},
	7:  {"saga/session TestStopEvent"},
	9:  {"saga/session TestDownOfAnUpThatHasNotYetClaimed"},
	11: {"weakness/w12_a_flush_forgets_nobody"},
	12: {"store TestRebuildOfACopy", "script/doctor_rebuild"},
	13: {"store TestCopies", "store TestTruncated", "store TestBitFlips", "store TestNewerRecord", "store TestNewerFile", "script/doctor_rebuild"},
	14: {"weakness/w10_an_up_that_cannot_write_its_end", "saga/session TestAnErrorAfterTheWrite"},
	16: {"script/tmux"},
	17: {"script/whose-pid"},
	18: {"cmd/ecluse TestEverythingThatCouldCollide"},
	19: {"steps TestComposeServices"},
	21: {"cmd/ecluse TestTwoRepositoriesThatLookTheSame"},
	23: {"saga/session TestWhoKeepsTheData"},
	25: {"steps TestAllThatAServiceStartedIsStopped", "steps TestAServiceThatHidesIsStopped"},
	26: {"script/sync"},
	27: {"steps/port TestLayoutIsWhatCandidatesDo", "steps/port TestNoTwoSlotsWantTheSamePort", "steps/port TestCheckLayoutAtItsLimits"},
	28: {"script/up_port", "script/up_services", "cmd/ecluse TestChosenContainersAreRemembered", "cmd/ecluse TestChoiceIsRefused"},
	30: {"cmd/ecluse TestWatch"},
	31: {"steps TestAServiceIsReady", "steps TestAServiceThatIsNotReadyInTime", "steps/docker TestFailures"},
	32: {"steps TestAServiceThatEndsSaysWhyItDid"},
	33: {"cmd/ecluse TestForceStartsContainersAgain"},
	35: {"steps/docker TestAsCompose"},
	36: {"steps/docker TestAsCompose", "cmd/ecluse TestEverythingThatCouldCollide"},
	40: {"cmd/ecluse TestJSONIsAsPublished", "cmd/ecluse TestExitStatusesAreToldAlike"},
	41: {"script/bad-input", "script/validate"},
	42: {"script/bad-input"},
	43: {"script/init"},
	44: {"steps TestEnvFile"},
	45: {"script/trash", "steps TestWorktreeStuck", "steps TestWorktreeCutOff"},
	46: {"saga/session TestSlug"},
	47: {"script/status", "script/stopped"},
	48: {"script/history", "script/logs", "script/gc"},
	50: {"steps TestHooksMirrorEachOther", "steps TestInputsOfAHook"},
	51: {"cmd/ecluse TestChosenContainers", "theme/compose_groups"},
}

// Each fault is shown by something, and what is said to show it is there.
func TestEveryWeaknessIsShown(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/weakness/w*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 51; n++ {
		own := slices.ContainsFunc(scripts, func(path string) bool {
			return strings.HasPrefix(filepath.Base(path), fmt.Sprintf("w%02d_", n))
		})
		if !own && len(weaknesses[n]) == 0 {
			t.Errorf("nothing shows that W%d is not ours", n)
		}
		for _, shown := range weaknesses[n] {
			if !isTest(t, shown) {
				t.Errorf("W%d: there is no %s", n, shown)
			}
		}
	}
	for n := range weaknesses {
		if n < 1 || n > 51 {
			t.Errorf("there is no W%d", n)
		}
	}
}

// isTest reports whether there is a test, or a script, of a name.
func isTest(t *testing.T, name string) bool {
	t.Helper()
	folder, test, ok := strings.Cut(name, " ")
	if !ok {
		_, err := os.Stat(filepath.Join("testdata", name+".txtar"))
		return err == nil
	}
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + test + `\(`)
	return slices.ContainsFunc(files, func(path string) bool {
		data, err := os.ReadFile(path)
		return err == nil && declared.Match(data)
	})
}
