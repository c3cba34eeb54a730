package config

import "strings"

// maxSuggest bounds the length of a key that a known one is looked for.
const maxSuggest = 64

// Suggest is the known key that was probably meant, or "".
func Suggest(name string, known []string) string {
	if len(name) > maxSuggest {
		return ""
	}
	best, least := "", 3
	for _, candidate := range known {
		if normal(name) == normal(candidate) {
			return candidate
		}
		limit := 2
		if len(candidate) <= 4 {
			limit = 1
		}
		if d := distance(name, candidate); d <= limit && d < least {
			best, least = candidate, d
		}
	}
	return best
}

// normal is a key without what tells the styles of writing it apart.
func normal(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// distance is how many characters must be added, removed, changed or swapped with
// their neighbour to make one word of the other.
func distance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, above[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
