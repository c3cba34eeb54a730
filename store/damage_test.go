package store

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecluse/saga/session"
)

// whole is a state file with some sessions, some of which are gone, and what it
// lists.
func whole(t *testing.T) (data []byte, sessions []session.Session) {
	t.Helper()
	s := newStore(t)
	for n := 1; n <= 24; n++ {
		script, _ := up(t, s, n)
		if n%3 == 0 {
			if _, err := script.Down(); err != nil {
				t.Fatal(err)
			}
		}
	}
	data, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return data, list(t, s)
}

// damagedStore is a store whose file has this content.
func damagedStore(t *testing.T, dir string, data []byte) *Store {
	t.Helper()
	s := New(dir)
	if err := os.WriteFile(s.Path(), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// useAll calls everything that opens the file and returns what List said. It must
// not take long, and errors must say that the file is damaged.
func useAll(t *testing.T, s *Store, what string) ([]session.Session, error) {
	t.Helper()
	began := time.Now()
	sessions, err := s.List()
	errs := []error{err}
	_, e := s.Get(key(2))
	errs = append(errs, e)
	_, e = s.History(Filter{Repo: key(2).Repo, Slug: key(2).Slug})
	errs = append(errs, e)
	_, e = s.Runs(Filter{})
	errs = append(errs, e)
	_, e = s.Apply(key(2), session.Event{Kind: session.AskStop, Seen: 1 << 60})
	if errors.Is(e, session.ErrStale) {
		e = nil // which it is: the transaction went well
	}
	for _, e := range append(errs, e) {
		if e != nil && !errors.Is(e, ErrDamaged) {
			t.Errorf("%s: %v", what, e)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("%s: took %s", what, took)
	}
	return sessions, errors.Join(append(errs, e)...)
}

// TestTruncated opens files that were cut off, at every odd place.
func TestTruncated(t *testing.T) {
	data, sessions := whole(t)
	dir := t.TempDir()
	sizes := []int{len(data)}
	for size := 0; size < len(data); size += 4093 {
		sizes = append(sizes, size)
	}
	for size := 0; size < len(data); size += 8192 {
		sizes = append(sizes, size, size+1, max(0, size-1), size+80, size+16)
	}
	for size := range 128 {
		sizes = append(sizes, size)
	}
	meta, why := readMeta(bytesAt(data), int64(len(data)))
	if why != "" {
		t.Fatal(why)
	}
	for _, size := range sizes {
		s := damagedStore(t, dir, data[:min(size, len(data))])
		got, err := useAll(t, s, "truncated")
		if used := int(meta.high) * int(meta.pageSize); size < used {
			if err == nil {
				t.Errorf("%d of %d bytes are there, and nobody noticed", size, used)
			}
		} else if err != nil || cmp.Diff(sessions, got) != "" {
			t.Errorf("all that matters is there with %d bytes: %v", size, err)
		}
	}
}

// bytesAt is a file in memory.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off > int64(len(b)) {
		return 0, os.ErrInvalid
	}
	return copy(p, b[off:]), nil
}

// TestBitFlips opens files in which one bit is wrong: either it does not matter,
// or it is noticed. A session is never listed as it is not.
func TestBitFlips(t *testing.T) {
	data, sessions := whole(t)
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	noticed, flips := 0, 500
	if testing.Short() {
		flips = 100
	}
	bits := make([]int, 0, flips)
	for range flips / 2 {
		bits = append(bits, random.IntN(len(data)*8))
	}
	for range flips / 2 { // the heads of pages and the first elements matter most
		bits = append(bits, (random.IntN(len(data)/4096)*4096+random.IntN(160))*8+random.IntN(8))
	}
	for _, bit := range bits {
		data[bit/8] ^= 1 << (bit % 8)
		s := damagedStore(t, dir, data)
		got, err := useAll(t, s, "bit flip")
		data[bit/8] ^= 1 << (bit % 8)
		head := bit/8 < 2*4096 // the older head takes the place of the newer one
		switch {
		case err != nil:
			noticed++
		case !head && cmp.Diff(sessions, got) != "":
			t.Errorf("seed %d: bit %d is wrong, and a session is listed as it is not", seed, bit)
		}
		if t.Failed() {
			t.Fatalf("seed %d, bit %d (page %d, byte %d)", seed, bit, bit/8/4096, bit/8%4096)
		}
	}
	if noticed < flips/20 {
		t.Errorf("only %d of %d flips were noticed", noticed, flips)
	}
	t.Logf("%d of %d flips were noticed", noticed, flips)
}

// TestMisledPages opens files whose pages refer to what they must not: bbolt would
// overflow its stack, run in circles, or overwrite what is in use.
func TestMisledPages(t *testing.T) {
	data, _ := whole(t)
	meta, why := readMeta(bytesAt(data), int64(len(data)))
	if why != "" {
		t.Fatal(why)
	}
	at := func(id uint64) []byte { return data[int64(id)*meta.pageSize:] }
	free := map[uint64]bool{}
	list := at(meta.freelist)
	for i := range uint64(native.Uint16(list[10:])) {
		free[native.Uint64(list[pageHeader+8*i:])] = true
	}
	var branch, leaf uint64
	for id := uint64(2); id < meta.high; id++ {
		switch flags := native.Uint16(at(id)[8:]); {
		case free[id]:
		case flags == branchFlag:
			branch = id
		case flags == leafFlag && id != meta.root:
			leaf = id
		}
	}
	if branch == 0 || leaf == 0 || len(free) == 0 {
		t.Fatalf("branch %d, leaf %d, %d are free", branch, leaf, len(free))
	}
	for name, wrong := range map[string]struct {
		where []byte
		page  uint64
	}{
		"to itself":          {at(branch)[pageHeader+8:], branch},
		"up the tree":        {at(branch)[pageHeader+8:], meta.root},
		"to a head":          {at(branch)[pageHeader+8:], 1},
		"out of the file":    {at(branch)[pageHeader+8:], 1 << 40},
		"to a free page":     {at(branch)[pageHeader+8:], native.Uint64(list[pageHeader:])},
		"last to the first":  {at(branch)[pageHeader+elemSize+8:], native.Uint64(at(branch)[pageHeader+8:])},
		"free, and a leaf":   {list[pageHeader:], leaf},
		"free, and a branch": {list[pageHeader:], branch},
		"free, and the list": {list[pageHeader:], meta.freelist},
		"not who it is":      {at(leaf), leaf + 1},
	} {
		was := native.Uint64(wrong.where)
		native.PutUint64(wrong.where, wrong.page)
		_, err := damagedStore(t, t.TempDir(), data).List()
		native.PutUint64(wrong.where, was)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotAFile opens what is no state file at all.
func TestNotAFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"text":     func(path string) error { return os.WriteFile(path, []byte("hello\n"), 0o600) },
		"zeros":    func(path string) error { return os.WriteFile(path, make([]byte, 1<<16), 0o600) },
	} {
		s := New(t.TempDir())
		if err := make(s.Path()); err != nil {
			t.Fatal(err)
		}
		if _, err := useAll(t, s, name); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
