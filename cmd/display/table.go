package display

import (
	"io"
	"slices"
	"strings"
)

// Column is a column of a [Table].
type Column struct {
	// Head is its header, in capitals by custom.
	Head string
	// Right aligns its cells to the right, as numbers want it.
	Right bool
	// Min is the width to which it can be cut when the terminal is too
	// narrow, in columns; at least that of its header is kept. 0: it is
	// never cut.
	Min int
	// Drop says how early it is left out when cutting does not help: the
	// highest goes first. 0: it never goes.
	Drop int
}

// Table lays out rows under headers, without borders. Where there is no width to
// fit into, as in a pipe, nothing is cut.
type Table struct {
	// Width of the terminal in columns; 0 for no limit.
	Width int
	// Color: styles may be used.
	Color   bool
	Columns []Column

	rows []row
}

type row struct {
	style Style
	cells []string
}

// Row adds a row in a style; missing cells are blank.
func (t *Table) Row(s Style, cells ...string) {
	cleaned := make([]string, len(t.Columns))
	for i := range t.Columns {
		if i < len(cells) {
			cleaned[i] = oneLine(cells[i])
		}
	}
	t.rows = append(t.rows, row{s, cleaned})
}

// Write writes the headers and the rows, all at once. A last line names the
// columns that were left out.
func (t *Table) Write(w io.Writer) error {
	widths, hidden := t.layout()
	paint := style{t.Color}
	heads := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i] = c.Head
	}
	var b strings.Builder
	b.WriteString(paint.paint(Bold, t.line(heads, widths)) + "\n")
	for _, r := range t.rows {
		b.WriteString(paint.paint(r.style, t.line(r.cells, widths)) + "\n")
	}
	if len(hidden) > 0 {
		b.WriteString(paint.paint(Dim, truncate("not shown: "+strings.Join(hidden, ", "), t.Width)) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// gap stands between two columns.
const gap = "  "

// line lays out one row; columns of width 0 are left out.
func (t *Table) line(cells []string, widths []int) string {
	var parts []string
	for i, cell := range cells {
		if widths[i] == 0 {
			continue
		}
		cell = truncate(cell, widths[i])
		fill := strings.Repeat(" ", widths[i]-width(cell))
		if t.Columns[i].Right {
			cell = fill + cell
		} else {
			cell += fill
		}
		parts = append(parts, cell)
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// layout decides how wide each column is, and which are left out.
func (t *Table) layout() (widths []int, hidden []string) {
	natural := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		natural[i] = width(c.Head)
		for _, r := range t.rows {
			natural[i] = max(natural[i], width(r.cells[i]))
		}
	}
	widths = slices.Clone(natural)
	for t.Width > 0 && total(widths) > t.Width {
		if t.cut(widths) {
			continue
		}
		drop := -1
		for i, c := range t.Columns {
			if natural[i] > 0 && c.Drop > 0 && (drop < 0 || c.Drop > t.Columns[drop].Drop) {
				drop = i
			}
		}
		if drop < 0 {
			break // it is as narrow as it can be
		}
		natural[drop] = 0
		widths = slices.Clone(natural)
	}
	for i, c := range t.Columns {
		if widths[i] == 0 && c.Head != "" {
			hidden = append(hidden, c.Head)
		}
	}
	return widths, hidden
}

// Cuts reports whether a cell does not fit, or a row is wider than the terminal.
func (t *Table) Cuts() bool {
	widths, hidden := t.layout()
	for _, r := range t.rows {
		for i, cell := range r.cells {
			if width(cell) > widths[i] {
				return true
			}
		}
	}
	return len(hidden) > 0 || t.Width > 0 && total(widths) > t.Width
}

// cut takes one column off the widest that can be cut, and reports whether there
// is one.
func (t *Table) cut(widths []int) bool {
	widest := -1
	for i, c := range t.Columns {
		if c.Min == 0 || widths[i] <= max(c.Min, width(c.Head)) {
			continue
		}
		if widest < 0 || widths[i] > widths[widest] {
			widest = i
		}
	}
	if widest < 0 {
		return false
	}
	widths[widest]--
	return true
}

// total is how wide a line of columns of these widths is.
func total(widths []int) int {
	sum := -len(gap)
	for _, w := range widths {
		if w > 0 {
			sum += w + len(gap)
		}
	}
	return sum
}
