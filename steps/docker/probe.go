package docker

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// probeTime is how long an answer of another machine is waited for. A port
	// that a firewall keeps from us does not answer, and is as good as free.
	probeTime = 300 * time.Millisecond
	// probeTries bounds how often a port is tried.
	probeTries = 3
	// probesAtOnce bounds how many connections are tried side by side.
	probesAtOnce = 256
)

// Probe looks which ports are in use on the machine of an engine that is not on
// this one, where nothing can be bound.
type Probe struct {
	host string
	mu   sync.Mutex // guards used
	used map[int]bool
}

// NewProbe makes a probe of the machine that [Place.Remote] names; nil when it
// names none.
func NewProbe(host string) *Probe {
	if host == "" {
		return nil
	}
	return &Probe{host: host, used: map[int]bool{}}
}

// Host is the name of the machine.
func (p *Probe) Host() string { return p.host }

// Look tries many ports side by side, so that [Probe.Free] knows of them.
func (p *Probe) Look(ctx context.Context, ports []int) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, probesAtOnce)
	for _, port := range ports {
		if p.known(port) {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			used := p.answers(ctx, port)
			p.mu.Lock()
			p.used[port] = used
			p.mu.Unlock()
			<-turns
		})
	}
	wg.Wait()
}

// Free reports whether nobody answers at a TCP port of that machine. Ports of
// containers that do not serve yet are found with [Engine.PublishedPorts].
func (p *Probe) Free(port int) bool {
	if !p.known(port) {
		p.Look(context.Background(), []int{port})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.used[port]
}

// known reports whether a port was looked at.
func (p *Probe) known(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.used[port]
	return known
}

// answers tries one port. That a connection was cut off, too, says that somebody
// is there. Where it took far longer than it may until nobody answered, it was us who
// stood still, and it is tried again.
func (p *Probe) answers(ctx context.Context, port int) bool {
	dialer := net.Dialer{Timeout: probeTime}
	for range probeTries {
		begun := time.Now()
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(p.host, strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
			return true
		}
		var failed net.Error
		if !errors.As(err, &failed) || !failed.Timeout() || proof(probeTime, time.Since(begun)) > 0 {
			return errors.Is(err, syscall.ECONNRESET)
		}
	}
	return false
}
