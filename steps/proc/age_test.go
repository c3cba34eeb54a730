package proc

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	id := Self()
	before, err := id.Age()
	if err != nil {
		t.Fatal(err)
	}
	if before < 0 || before > time.Hour {
		t.Errorf("this test is %s old", before)
	}
	begin := time.Now()
	for deadline := begin.Add(time.Minute); ; {
		after, err := id.Age()
		if err != nil {
			t.Fatal(err)
		}
		if grown := after - before; grown >= 50*time.Millisecond {
			if passed := time.Since(begin); passed < 50*time.Millisecond-tick || grown > passed+tick {
				t.Errorf("it has grown by %s in %s", grown, passed)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not grow older")
		}
	}
}
