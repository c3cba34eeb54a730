package postgres

import (
	"net"
	"net/url"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// defaultPort is where a server listens of which nobody says where.
const defaultPort = 5432

// Where is where a server is, and who connects to it. A URL may leave each of them
// to the environment of whoever reads it: PGHOST, PGPORT, PGUSER, a service file.
type Where struct {
	// Host is a name, an address, or the folder of a socket.
	Host string `json:"host"`
	Port uint16 `json:"port"`
	User string `json:"user"`
}

// Where is where the URL leads here and now.
func (s *Server) Where() Where { return whereOf(s.config) }

func whereOf(config *pgx.ConnConfig) Where { return Where{config.Host, config.Port, config.User} }

// At is the same server as it was found once, wherever the URL leads now.
func (s *Server) At(w Where) (*Server, error) {
	if w == s.Where() {
		return s, nil
	}
	return Parse(w.in(s.base).String())
}

// in is a URL that says so itself.
func (w Where) in(base *url.URL) *url.URL {
	other := *base
	var query []string
	for _, pair := range strings.Split(base.RawQuery, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if key, _ = url.QueryUnescape(key); key != "" && !slices.Contains([]string{"host", "port", "user"}, key) {
			query = append(query, pair)
		}
	}
	other.User = url.User(w.User)
	if password, has := base.User.Password(); has {
		other.User = url.UserPassword(w.User, password)
	}
	port := strconv.Itoa(int(w.Port))
	if strings.HasPrefix(w.Host, "/") {
		// Not every reader takes a + for a space.
		other.Host = ""
		query = append(query, "host="+strings.ReplaceAll(url.QueryEscape(w.Host), "+", "%20"), "port="+port)
	} else {
		other.Host = net.JoinHostPort(w.Host, port)
	}
	other.RawQuery = strings.Join(query, "&")
	return &other
}

// explicit is a URL that leads its readers where it leads us, whatever their
// environment has. What it says by itself, and what is so everywhere, stays.
func explicit(base *url.URL, w Where) *url.URL {
	query := base.Query()
	host := base.Hostname() != "" || query.Has("host")
	port := base.Port() != "" || query.Has("port") || w.Port == defaultPort
	name := base.User.Username() != "" || query.Has("user")
	if !name {
		self, err := user.Current()
		name = err == nil && self.Username == w.User
	}
	if host && port && name {
		return base
	}
	other := w.in(base)
	if name {
		other.User = base.User
		if query.Has("user") {
			other.RawQuery = strings.TrimPrefix(other.RawQuery+"&user="+url.QueryEscape(w.User), "&")
		}
	}
	return other
}

// several reports whether a connection would try more than one server.
func several(config *pgx.ConnConfig) bool {
	return slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return f.Host != config.Host || f.Port != config.Port
	})
}
