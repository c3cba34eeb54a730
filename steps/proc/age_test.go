package proc

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	id := Self()
	asked := time.Now()
	before, err := id.Age()
	if err != nil {
		t.Fatal(err)
	}
	if before < 0 || before > time.Hour {
		t.Errorf("this test is %s old", before)
	}
	told := time.Now()
	for deadline := told.Add(time.Minute); ; {
		again := time.Now()
		after, err := id.Age()
		if err != nil {
			t.Fatal(err)
		}
		if grown := after - before; grown >= 50*time.Millisecond {
			if least, most := again.Sub(told)-tick, time.Since(asked)+tick; grown < least || grown > most {
				t.Errorf("it has grown by %s in %s to %s", grown, least, most)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not grow older")
		}
	}
}
