package display

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func sessions(width int, color bool) *Table {
	t := &Table{Width: width, Color: color, Columns: []Column{
		{Head: "SLUG", Min: 8}, {Head: "STATE"}, {Head: "SLOT", Right: true, Drop: 2},
		{Head: "PORTS", Min: 12, Drop: 1}, {Head: "AGE", Drop: 3},
	}}
	t.Row(Normal, "feat-x", "active", "1", "api 3001, web 3002, db 5433", "2h")
	t.Row(Dim, "a-rather-long-slug", "pending-up", "12")
	return t
}

func written(t *testing.T, table *Table) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	for width, want := range map[int]string{
		0: `SLUG                STATE       SLOT  PORTS                        AGE
feat-x              active         1  api 3001, web 3002, db 5433  2h
a-rather-long-slug  pending-up    12
`,
		50: `SLUG          STATE       SLOT  PORTS          AGE
feat-x        active         1  api 3001, we…  2h
a-rather-lo…  pending-up    12
`,
		40: `SLUG      STATE       SLOT  PORTS
feat-x    active         1  api 3001, w…
a-rathe…  pending-up    12
not shown: AGE
`,
		36: `SLUG        STATE       PORTS
feat-x      active      api 3001, w…
a-rather-…  pending-up
not shown: SLOT, AGE
`,
		20: `SLUG      STATE
feat-x    active
a-rathe…  pending-up
not shown: SLOT, PO…
`,
		10: `SLUG      STATE
feat-x    active
a-rathe…  pending-up
not shown…
`,
	} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			got := written(t, sessions(width, false))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTableStyles(t *testing.T) {
	plain, colored := written(t, sessions(0, false)), written(t, sessions(0, true))
	if !strings.Contains(colored, "\x1b[2ma-rather") || !strings.Contains(colored, "\x1b[1mSLUG") {
		t.Errorf("styles are missing: %q", colored)
	}
	if clean(colored) != strings.TrimSuffix(plain, "\n") {
		t.Errorf("styles change the text: %q", colored)
	}
	if strings.Contains(plain, "\x1b") {
		t.Errorf("styles without color: %q", plain)
	}
}

func TestTableCells(t *testing.T) {
	table := &Table{Columns: []Column{{Head: "A"}, {Head: "B"}}}
	table.Row(Normal, "evil\x1b[2J\nsecond line", "b", "too many")
	if want := "A       B\nevil …  b\n"; written(t, table) != want {
		t.Errorf("got %q, want %q", written(t, table), want)
	}
}

// Whatever the cells hold, no line is wider than a terminal that is wide enough
// for the least widths, and without a limit nothing is cut.
func TestTableFits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(30, 120).Draw(rt, "width")
		table := sessions(limit, false)
		free := sessions(0, false)
		for range rapid.IntRange(0, 5).Draw(rt, "rows") {
			cells := []string{
				rapid.String().Draw(rt, "slug"), rapid.SampledFrom([]string{"active", "failed"}).Draw(rt, "state"),
				rapid.String().Draw(rt, "slot"), rapid.String().Draw(rt, "ports"), rapid.String().Draw(rt, "age"),
			}
			table.Row(Normal, cells...)
			free.Row(Normal, cells...)
		}
		var b bytes.Buffer
		_ = table.Write(&b)
		for line := range strings.Lines(b.String()) {
			if w := width(strings.TrimSuffix(line, "\n")); w > limit {
				rt.Errorf("%d columns of %d: %q", w, limit, line)
			}
		}
		b.Reset()
		_ = free.Write(&b)
		for _, r := range free.rows {
			for _, cell := range r.cells {
				if !strings.Contains(b.String(), cell) {
					rt.Errorf("%q is missing", cell)
				}
			}
		}
	})
}

// TestCuts: who shows in full what a table has cut is told when it has.
func TestCuts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int
		text  string
		want  bool
	}{
		{0, strings.Repeat("x", 200), false}, {30, "short", false}, {30, strings.Repeat("x", 40), true},
	} {
		table := Table{Width: c.limit, Columns: []Column{{Head: "CHECK"}, {Head: "WHAT", Min: 10}}}
		table.Row(Normal, "docker", c.text)
		if have := table.Cuts(); have != c.want {
			t.Errorf("%d characters in %d columns: cut %v, want %v", len(c.text), c.limit, have, c.want)
		}
	}
}
