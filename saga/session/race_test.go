//go:build race

package session

// raceDetector makes long tests shorter.
const raceDetector = true
