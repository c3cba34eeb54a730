package session

import (
	"errors"
	"strings"
	"testing"
)

func TestSlug(t *testing.T) {
	for branch, want := range map[string]string{
		"feat-x": "feat-x", "Feat/Log-In": "feat-log-in", "a__b//c": "a-b-c", "-x-1-": "x-1", "v1.2": "v1-2", "ünï-1": "n-1",
		strings.Repeat("ab", 31):                               strings.Repeat("ab", 31),
		strings.Repeat("ab", 60):                               strings.Repeat("ab", 27) + "-c513d65",
		strings.Repeat("a", 61) + "-" + "b":                    strings.Repeat("a", 54) + "-4a6edc7",
		strings.Repeat("a", 53) + "/" + strings.Repeat("b", 9): strings.Repeat("a", 53) + "-f29bf0d",
	} {
		got, err := Slug(branch)
		if err != nil || got != want {
			t.Errorf("Slug(%q) = %q, %v; want %q", branch, got, err, want)
		}
		if CheckSlug(got) != nil {
			t.Errorf("Slug(%q) = %q, which is none", branch, got)
		}
	}
	for _, branch := range []string{"", "-", "//", "x", "日本", "../.."} {
		if got, err := Slug(branch); !errors.Is(err, ErrSlug) {
			t.Errorf("Slug(%q) = %q, %v", branch, got, err)
		}
	}
	for _, slug := range []string{"", "a", "-ab", "ab-", "aB", "a/b", "../x", "a b", "ab\n", strings.Repeat("a", 63)} {
		if !errors.Is(CheckSlug(slug), ErrSlug) {
			t.Errorf("%q is taken for a slug", slug)
		}
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("feat/x")
	f.Add(strings.Repeat("é-", 99))
	f.Fuzz(func(t *testing.T, branch string) {
		if slug, err := Slug(branch); err == nil && CheckSlug(slug) != nil {
			t.Errorf("Slug(%q) = %q", branch, slug)
		}
	})
}
