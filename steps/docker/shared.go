package docker

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// networks gives the networks of the file names of the project's own, and takes
// away fixed subnets: the engine refuses a second network with the same one.
func (w *rewriter) networks() {
	for _, key := range slices.Sorted(maps.Keys(w.project.Networks)) {
		network := w.project.Networks[key]
		if network.External {
			w.m.Warn("network %s is external: every session shares it, and the names of the services in it", either(network.Name, key))
			continue
		}
		network.Name = w.project.Name + "_" + key
		network.Labels = w.labelled(network.Labels)
		switch network.Driver {
		case "macvlan", "ipvlan":
			w.m.Warn("network %s is a %s network: the addresses in it are not the session's own", key, network.Driver)
		default:
			w.subnets(key, &network)
		}
		w.project.Networks[key] = network
	}
}

// subnets drops the fixed subnets of a network. The engine chooses free ones for
// IPv4; for IPv6 not every engine can, so that one follows from the names.
func (w *rewriter) subnets(key string, network *types.NetworkConfig) {
	var kept []*types.IPAMPool
	for _, pool := range network.Ipam.Config {
		if pool == nil || pool.Subnet == "" {
			continue
		}
		w.dropped[key] = true
		w.m.Warn("network %s asks for the subnet %s: the session gets another one, and no fixed addresses in it", key, pool.Subnet)
		if prefix, err := netip.ParsePrefix(pool.Subnet); err == nil && prefix.Addr().Is6() {
			kept = append(kept, &types.IPAMPool{Subnet: localSubnet(network.Name)})
		}
	}
	network.Ipam.Config = kept
}

// localSubnet is a unique local /64 (RFC 4193) that follows from a name.
func localSubnet(name string) string {
	sum := sha256.Sum256([]byte(name))
	var addr [16]byte
	addr[0] = 0xfd
	copy(addr[1:8], sum[:])
	return netip.PrefixFrom(netip.AddrFrom16(addr), 64).String()
}

// addresses drops what a service asks for in a network that has no fixed subnet
// any more.
func (w *rewriter) addresses(s *types.ServiceConfig) {
	for key, network := range s.Networks {
		if network != nil && w.dropped[key] {
			network.Ipv4Address, network.Ipv6Address = "", ""
		}
	}
}

// volumes gives the volumes of the file names of the project's own. What their
// driver is told stays.
func (w *rewriter) volumes() {
	for _, key := range slices.Sorted(maps.Keys(w.project.Volumes)) {
		volume := w.project.Volumes[key]
		if volume.External {
			w.m.Warn("volume %s is external: every session shares its data", either(volume.Name, key))
			continue
		}
		volume.Name = w.project.Name + "_" + key
		volume.Labels = w.labelled(volume.Labels)
		if device := volume.DriverOpts["device"]; w.outside(device) || volume.DriverOpts["type"] == "nfs" {
			w.m.Warn("volume %s lies at %s: every session shares its data", key, device)
		}
		w.project.Volumes[key] = volume
	}
}

// files settles where secrets and configs come from. A config whose content was
// read from a variable has two sources now, and may have only one.
func (w *rewriter) files() {
	for key, config := range w.project.Configs {
		if config.Environment != "" && config.Content != "" {
			config.Environment = ""
			w.project.Configs[key] = config
		}
	}
}

// environment lists the variables that secrets are taken from.
func (w *rewriter) environment() []string {
	var env []string
	for _, key := range slices.Sorted(maps.Keys(w.project.Secrets)) {
		name := w.project.Secrets[key].Environment
		if value, ok := w.project.Environment[name]; ok && name != "" {
			env = append(env, fmt.Sprintf("%s=%s", name, value))
		}
	}
	return env
}

// ofSystem are folders of the host that containers are commonly shown, and that
// no session thinks its own.
var ofSystem = []string{"/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/usr", "/var/run", "/tmp/.X11-unix"}

// mounts warns of folders that sessions share.
func (w *rewriter) mounts(s *types.ServiceConfig) {
	for _, mount := range s.Volumes {
		if mount.Type != types.VolumeTypeBind || mount.ReadOnly || !w.outside(mount.Source) {
			continue
		}
		if slices.ContainsFunc(ofSystem, func(dir string) bool { return inside(dir, mount.Source) }) {
			continue
		}
		w.m.Warn("service %s mounts %s, which lies outside the worktree: every session shares it", s.Name, mount.Source)
	}
}

// outside reports whether a path is one outside the worktree.
func (w *rewriter) outside(path string) bool {
	return strings.HasPrefix(path, "/") && !inside(w.m.dir, path)
}

// inside reports whether path is dir or lies in it.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
