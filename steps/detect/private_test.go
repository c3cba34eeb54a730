package detect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecluse/steps/settings"
)

// TestMasked: of a private value only that is shown of which it is known what it is.
func TestMasked(t *testing.T) {
	for value, want := range map[string]string{
		"localhost:1":                                        "localhost:1",
		"postgres://user@localhost:1/shop":                   "postgres://user@localhost:1/shop",
		"http://127.0.0.1:1/a/b?sslmode=disable":             "http://127.0.0.1:1/a/b?sslmode=disable",
		"postgres://user:s3cr3t@localhost:1/shop":            "postgres://user:PASSWORD@localhost:1/shop !",
		"postgres://user:s3@cr3t@localhost:1/shop":           "postgres://user:PASSWORD@localhost:1/shop !",
		"postgres://user:s3/cr3t@localhost:1/shop":           "localhost:1 !",
		"redis://:s3cr3t@localhost:1":                        "redis://:PASSWORD@localhost:1 !",
		"user:s3cr3t@localhost:1":                            "user:PASSWORD@localhost:1 !",
		"jdbc:postgresql://localhost:1/x?user=a&password=s3": "jdbc:postgresql://localhost:1/x?user=VALUE&password=VALUE !",
		"http://localhost:1/x?s3cr3t":                        "http://localhost:1/x?VALUE !",
		"http://localhost:1/x?sslmode=s3cr3ts3cr3ts3cr3t":    "http://localhost:1/x?sslmode=VALUE !",
		"http://s3cr3ts3cr3ts3cr3t@localhost:1/1":            "localhost:1 !",
		"http://localhost:1/hook/s3cr3ts3cr3ts3cr3t":         "localhost:1 !",
		"Server=localhost:1;Password=s3cr3t":                 "localhost:1 !",
		"http://localhost:1/#s3cr3t":                         "localhost:1 !",
	} {
		place := "localhost:1"
		shown, why := masked(value, place)
		if why != "" {
			shown += " !"
		}
		if shown != want || strings.Contains(shown, "s3") {
			t.Errorf("%s is shown as %s, want %s", value, shown, want)
		}
	}
}

// TestPrivateFiles: what is in private files is in the configuration only as far as it is
// no secret, and the file goes on loading with all that it suggests.
func TestPrivateFiles(t *testing.T) {
	root := folder(t, map[string]string{
		"compose.yaml": "services: {db: {image: postgres, ports: ['6000:5432']}}\n",
		".env.example": "PUBLIC=postgres://u:pw@localhost:6000/x\nDATABASE_URL=\n",
		".env":         "DATABASE_URL=\"postgres://u:s3cr3t@localhost:6000/x\" # y\nPUBLIC=postgres://u:s3cr3t@localhost:6000/x\nPLAIN=redis://localhost:6000\nOVER=localhost:6000\nAWAY=localhost:7000\n",
		".env.local":   "OVER=elsewhere\n", "apps/api/.env": "PLAIN=redis://u:s3cr3t@localhost:6000\n", "apps/api/.env.local": "",
		"apps/api/package.json": `{"scripts": {"dev": "next dev"}}`,
	})
	look := Look{Survey: Examine(t.Context(), root)}
	text, err := Template(settings.ModeHybrid, look)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "s3cr3t") || strings.Contains(strings.Join(look.Left(settings.ModeHybrid), " "), "s3cr3t") {
		t.Error("a password was copied")
	}
	cfg, err := loaded(t, text)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"PUBLIC": "postgres://u:pw@localhost:${ECLUSE_DB_PORT}/x", "PLAIN": "redis://localhost:${ECLUSE_DB_PORT}"}
	if diff := cmp.Diff(want, cfg.Env); diff != "" {
		t.Errorf("[env] (-want +got):\n%s", diff)
	}
	want["DATABASE_URL"] = "postgres://u:PASSWORD@localhost:${ECLUSE_DB_PORT}/x"
	lifted, err := loaded(t, strings.Replace(text, "\n#DATABASE_URL = ", "\nDATABASE_URL = ", 1))
	if diff := cmp.Diff(want, lifted.Env); err != nil || diff != "" {
		t.Errorf("[env] with all of it: %v (-want +got):\n%s", err, diff)
	}
	var files []string
	for _, entry := range cfg.InheritEnv {
		files = append(files, entry.Value.File)
	}
	if diff := cmp.Diff([]string{".env", ".env.local", "apps/api/.env", "apps/api/.env.local"}, files); diff != "" {
		t.Errorf("inherit_env (-want +got):\n%s", diff)
	}
	if left := look.Left(settings.ModeHybrid); len(left) != 2 { // DATABASE_URL, and PLAIN of api
		t.Errorf("left: %q", left)
	}
}
