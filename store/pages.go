package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The form of a bbolt file, as far as it must be known to tell a whole one from a
// damaged one before bbolt, which trusts it, maps it into memory
// (go.etcd.io/bbolt, internal/common: page.go, meta.go, bucket.go). Numbers are in
// the byte order of the machine.
const (
	pageHeader = 16 // id 8, flags 2, count 2, overflow 4
	metaSize   = 64 // magic 4, version 4, page size 4, flags 4, root 16, freelist 8, high water 8, txid 8, checksum 8
	bucketHead = 16 // root page 8, sequence 8
	elemSize   = 16 // leaf: flags 4, pos 4, ksize 4, vsize 4; branch: pos 4, ksize 4, page 8

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketElem   = 0x01
)

var native = binary.NativeEndian

// boltMeta is what one of the two meta pages says.
type boltMeta struct {
	pageSize             int64
	root, freelist, high uint64
	txid                 uint64
}

// decodeMeta reads a meta page; ok is false when it is not whole.
func decodeMeta(page []byte) (m boltMeta, ok bool) {
	if len(page) < pageHeader+metaSize {
		return m, false
	}
	b := page[pageHeader : pageHeader+metaSize]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	if native.Uint32(b) != boltMagic || native.Uint32(b[4:]) != boltVersion || native.Uint64(b[56:]) != sum.Sum64() {
		return m, false
	}
	return boltMeta{
		pageSize: int64(native.Uint32(b[8:])),
		root:     native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
		high: native.Uint64(b[40:]), txid: native.Uint64(b[48:]),
	}, true
}

// readMeta finds the meta page that bbolt will use: the newer of those that are
// whole. The reason why there is none is a phrase.
func readMeta(f io.ReaderAt, size int64) (best boltMeta, why string) {
	if size == 0 {
		return best, "it is empty"
	}
	buf := make([]byte, pageHeader+metaSize)
	at := func(offset int64) (boltMeta, bool) {
		n, _ := f.ReadAt(buf, offset)
		return decodeMeta(buf[:n])
	}
	found := false
	if m, ok := at(0); ok {
		best, found = m, true
	}
	for pageSize := int64(1024); pageSize <= 64<<10; pageSize *= 2 {
		if m, ok := at(pageSize); ok && m.pageSize == pageSize && (!found || m.txid > best.txid) {
			best, found = m, true
		}
	}
	switch {
	case !found:
		return best, "neither of its two heads is whole"
	case best.pageSize < 1024 || best.pageSize > 64<<10 || best.pageSize&(best.pageSize-1) != 0:
		return best, fmt.Sprintf("a page size of %d bytes cannot be", best.pageSize)
	case best.high > uint64(size/best.pageSize):
		return best, fmt.Sprintf("it is cut off: %d bytes of at least %d are there", size, best.high*uint64(best.pageSize))
	}
	return best, ""
}

// inspect tells what is wrong with a state file, as a phrase; empty when nothing
// is. With deep every page that can be reached is looked at, otherwise only the
// heads and the size. The error is one of the file system.
func inspect(path string, deep bool) (why string, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a pipe by now
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "it is not a file", nil
	}
	meta, why := readMeta(f, info.Size())
	if why != "" || !deep {
		return why, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(meta.high)*int(meta.pageSize), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return "", fmt.Errorf("map %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(data) }()
	w := &walker{data: data, pageSize: int(meta.pageSize), high: meta.high, seen: make([]bool, meta.high), light: len(data) > lightSize}
	w.seen[0], w.seen[1] = true, true
	if why := w.tree(meta.root); why != "" {
		return why, nil
	}
	return w.freelist(meta.freelist), nil
}

// walker looks at each page that can be reached, once. Its answers are phrases
// that say what is wrong.
type walker struct {
	data     []byte
	pageSize int
	high     uint64
	seen     []bool
	// light leaves the content of most leaves alone.
	light bool
	// sealed is set within a bucket whose values are checked too.
	sealed bool
}

// lightSize is the size from which on most leaves are left alone: to look at each
// would mean to read the whole file. What is wrong in a leaf costs that leaf, and
// bbolt cannot run in circles there.
const lightSize = 16 << 20

// checked are the buckets of which a wrong key or value would go unnoticed: what
// is looked up there is mostly not there. They are small.
var checked = []string{bucketMeta, bucketSlots, bucketLeases}

// page returns a page with what overflows from it, which nothing else may refer to.
func (w *walker) page(id uint64) (page []byte, flags uint16, count int, why string) {
	if why := w.refer(id); why != "" {
		return nil, 0, 0, why
	}
	start := int(id) * w.pageSize
	head := w.data[start : start+pageHeader]
	overflow := uint64(native.Uint32(head[12:]))
	if native.Uint64(head) != id || id+overflow >= w.high {
		return nil, 0, 0, fmt.Sprintf("page %d says that it is page %d and %d more", id, native.Uint64(head), overflow)
	}
	for i := id + 1; i <= id+overflow; i++ {
		if why := w.refer(i); why != "" {
			return nil, 0, 0, why
		}
	}
	page = w.data[start : start+int(overflow+1)*w.pageSize]
	return page, native.Uint16(head[8:]), int(native.Uint16(head[10:])), ""
}

// refer notes that something refers to a page.
func (w *walker) refer(id uint64) string {
	if id < 2 || id >= w.high {
		return fmt.Sprintf("it refers to page %d of %d", id, w.high)
	}
	if w.seen[id] {
		return fmt.Sprintf("page %d is referred to twice", id)
	}
	w.seen[id] = true
	return ""
}

// isLeaf reports whether a page that was looked at is a leaf.
func (w *walker) isLeaf(id uint64) bool {
	return native.Uint16(w.data[int(id)*w.pageSize+8:]) == leafFlag
}

// tree looks at a tree of branches and leaves.
func (w *walker) tree(id uint64) string {
	page, flags, count, why := w.page(id)
	switch {
	case why != "":
		return why
	case flags == leafFlag:
		return w.leaf(id, page, count)
	case flags != branchFlag || count == 0:
		return fmt.Sprintf("page %d is neither branch nor leaf", id)
	}
	var last []byte
	look := w.tree
	for i := range count {
		at := pageHeader + i*elemSize
		if at+elemSize > len(page) {
			return fmt.Sprintf("page %d has %d elements, which do not fit", id, count)
		}
		elem := page[at:]
		key, ok := part(elem, native.Uint32(elem), native.Uint32(elem[4:]))
		if !ok || len(key) == 0 || i > 0 && bytes.Compare(last, key) >= 0 {
			return fmt.Sprintf("page %d is out of order at element %d", id, i)
		}
		last = key
		child := native.Uint64(elem[8:])
		if why := look(child); why != "" {
			return why
		}
		if i == 0 && w.light && !w.sealed && w.isLeaf(child) {
			look = w.refer // its sisters are leaves too
		}
	}
	return ""
}

// leaf looks at the elements of a leaf, and at the buckets that are rooted there.
func (w *walker) leaf(id uint64, page []byte, count int) string {
	var last []byte
	for i := range count {
		at := pageHeader + i*elemSize
		if at+elemSize > len(page) {
			return fmt.Sprintf("page %d has %d elements, which do not fit", id, count)
		}
		elem := page[at:]
		pos, ksize, vsize := native.Uint32(elem[4:]), native.Uint32(elem[8:]), native.Uint32(elem[12:])
		key, ok := part(elem, pos, ksize)
		value, whole := part(elem, pos+ksize, vsize)
		if !ok || !whole || pos+ksize < pos || ksize == 0 || i > 0 && bytes.Compare(last, key) >= 0 {
			return fmt.Sprintf("page %d is out of order at element %d", id, i)
		}
		last = key
		if native.Uint32(elem)&bucketElem != 0 {
			if why := w.bucket(id, key, value); why != "" {
				return why
			}
		} else if w.sealed && !intact(key, value) {
			return fmt.Sprintf("element %d of page %d is not what was written", i, id)
		}
	}
	return ""
}

// intact reports whether a value is what was written under the key.
func intact(key, value []byte) bool {
	_, err := unseal(key, value)
	return err == nil
}

// bucket looks at a bucket: a tree of its own, or a small leaf within the value.
func (w *walker) bucket(id uint64, name, value []byte) string {
	w.sealed = slices.Contains(checked, string(name))
	defer func() { w.sealed = false }()
	if len(value) < bucketHead {
		return fmt.Sprintf("page %d holds a bucket that is cut off", id)
	}
	if root := native.Uint64(value); root != 0 {
		return w.tree(root)
	}
	inline := value[bucketHead:]
	if len(inline) < pageHeader || native.Uint16(inline[8:]) != leafFlag {
		return fmt.Sprintf("page %d holds a bucket that is no leaf", id)
	}
	return w.leaf(id, inline, int(native.Uint16(inline[10:])))
}

// freelist looks at the list of free pages: a page that is in use must not be on
// it, or the next transaction overwrites it.
func (w *walker) freelist(id uint64) string {
	if id == noFreelist {
		return ""
	}
	page, flags, count, why := w.page(id)
	if why != "" {
		return why
	}
	if flags != freelistFlag {
		return fmt.Sprintf("page %d is no list of free pages", id)
	}
	ids := page[pageHeader:]
	if count == 0xFFFF { // the count is the first element then
		n := native.Uint64(ids)
		if n > w.high {
			return fmt.Sprintf("%d pages are free of %d", n, w.high)
		}
		count, ids = int(n), ids[8:]
	}
	if count*8 > len(ids) {
		return fmt.Sprintf("page %d lists %d free pages, which do not fit", id, count)
	}
	for i := range count {
		free := native.Uint64(ids[i*8:])
		if free < 2 || free >= w.high || w.seen[free] {
			return fmt.Sprintf("page %d is listed as free, and is not", free)
		}
		w.seen[free] = true
	}
	return ""
}

// part is a range of an element's page, counted from the element.
func part(elem []byte, pos, size uint32) ([]byte, bool) {
	end := uint64(pos) + uint64(size)
	if end > uint64(len(elem)) {
		return nil, false
	}
	return elem[pos:end], true
}
