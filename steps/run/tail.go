package run

import (
	"io"
	"os"
)

// Tail is the end of what a log says from the byte from on, fit to be shown, at
// most 1 KB: the last words of a program that we do not wait for. It is empty when
// the log cannot be read: it only explains.
func Tail(path string, from int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	return clean(lastOf(file, from))
}

// lastOf is the last of a file from the byte from on; of one that has become
// shorter meanwhile, simply the last.
func lastOf(file *os.File, from int64) []byte {
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	if info.Size() < from {
		from = 0
	}
	data, _ := io.ReadAll(io.NewSectionReader(file, max(from, info.Size()-window), window))
	return data
}
