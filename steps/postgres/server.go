package postgres

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// MaxName is how long the name of a database may be, in bytes.
const MaxName = 63

// Server is a server, and a user of it.
type Server struct {
	base   *url.URL
	config *pgx.ConnConfig
}

// Parse reads the URL of a database: postgres://user:password@host:port/database.
func Parse(text string) (*Server, error) {
	base, err := url.Parse(text)
	if err != nil {
		// What it says has the password in it.
		return nil, errors.New("it is no URL; write postgres://user:password@host:port/database, and %40 for an @ in the password")
	}
	name := strings.TrimPrefix(base.Path, "/")
	switch {
	case base.Scheme != "postgres" && base.Scheme != "postgresql":
		return nil, fmt.Errorf("its scheme is %q; it takes postgres://user:password@host:port/database", base.Scheme)
	case name == "" || base.Query().Has("dbname"):
		return nil, errors.New("it names no database behind the port; write postgres://user:password@host:port/database")
	case strings.Contains(base.Host, ","):
		return nil, errors.New("it names several hosts; write the one where databases can be made")
	case strings.ContainsRune(text, 0) || len(name) > MaxName:
		return nil, fmt.Errorf("%.70q is no name of a database", name)
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("read the URL: %w", hide(err, base))
	}
	if several(config) {
		return nil, errors.New("it leads to several hosts; name the one where databases can be made")
	}
	return &Server{base: explicit(base, whereOf(config)), config: config}, nil
}

// Database is the name of the database in the URL.
func (s *Server) Database() string { return strings.TrimPrefix(s.base.Path, "/") }

// URL is that of another database of the server: all else in it stays. What the URL
// leaves to PGHOST, PGPORT and PGUSER it says, for those who have others.
func (s *Server) URL(database string) string {
	other := *s.base
	other.Path, other.RawPath = "/"+database, ""
	return other.String()
}

// Redacted is the same without what nobody is to read.
func (s *Server) Redacted(database string) string {
	other := *s.base
	other.Path, other.RawPath = "/"+database, ""
	pairs := strings.Split(other.RawQuery, "&")
	for i, pair := range pairs {
		raw, _, _ := strings.Cut(pair, "=")
		if key, err := url.QueryUnescape(raw); err == nil && slices.Contains(secretKeys, key) {
			pairs[i] = raw + "=xxxxx"
		}
	}
	other.RawQuery = strings.Join(pairs, "&")
	return other.Redacted()
}

// Address is the host and the port, or the path of a socket.
func (s *Server) Address() string {
	if strings.HasPrefix(s.config.Host, "/") {
		return fmt.Sprintf("%s/.s.PGSQL.%d", s.config.Host, s.config.Port)
	}
	return net.JoinHostPort(s.config.Host, strconv.Itoa(int(s.config.Port)))
}

// PortOn is the port if the server listens on this machine, or is said to be on the
// host, and 0 otherwise.
func (s *Server) PortOn(host string) int {
	ip := net.ParseIP(s.config.Host)
	if s.config.Host == "localhost" || s.config.Host == host || ip != nil && ip.IsLoopback() {
		return int(s.config.Port)
	}
	return 0
}

// Fit cuts a name to the length that a server takes. What is cut is summed up at
// its end, so that names that differ still do.
func Fit(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	cut := name[:limit-9]
	for !utf8.ValidString(cut) && cut != "" && utf8.ValidString(name) {
		cut = cut[:len(cut)-1]
	}
	return fmt.Sprintf("%s_%x", cut, sha256.Sum256([]byte(name)))[:len(cut)+9]
}

// secretKeys are the parameters of a URL that nobody is to read.
var secretKeys = []string{"password", "passfile", "sslpassword"}

// secrets are what is not to be shown of a URL, as its readers spell it.
func secrets(base *url.URL) []string {
	var list []string
	add := func(secret string) {
		if secret != "" {
			list = append(list, secret, url.QueryEscape(secret), url.PathEscape(secret))
		}
	}
	if password, has := base.User.Password(); has && password != "" {
		add(password)
		list = append(list, base.User.String())
	}
	for key, values := range base.Query() {
		for _, value := range values {
			if slices.Contains(secretKeys, key) {
				add(value)
			}
		}
	}
	for _, pair := range strings.Split(base.RawQuery, "&") {
		if key, raw, _ := strings.Cut(pair, "="); slices.Contains(secretKeys, key) && raw != "" {
			list = append(list, raw)
		}
	}
	// A secret may be a part of another one.
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return list
}

// hide takes the secrets out of what an error says.
func hide(err error, base *url.URL) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range secrets(base) {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
