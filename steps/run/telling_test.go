package run

import "testing"

func TestTelling(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":       {"\n \n", ""},
		"one line":      {"no space left on device\n", "no space left on device"},
		"the last":      {"> dev\n\nbooting\nthe port is closed\n\n", "the port is closed"},
		"an error":      {"> dev\n\nboot\nError: no DB\n    at x.js:1\n\nbye", "Error: no DB"},
		"the last one":  {"error: first\nretrying\nERROR second\ngiving up", "ERROR second"},
		"no error":      {"error: first\nFound 0 errors. Watching for file changes.", "error: first"},
		"in no word":    {"ready\nmirrored terrors\nlistening", "listening"},
		"only indented": {"  a\n  b\n", "b"},
		"shell":         {"x\nsh: 1: foo: not found\n", "sh: 1: foo: not found"},
		"npm":           {"npm error code EUSAGE\nnpm error\nnpm error The `npm ci` command can only install with a lockfile\nnpm error later to generate one\nnpm error\nnpm error Usage:\nnpm error npm ci\nnpm error\nnpm error Run \"npm help ci\" for more info\nnpm error A complete log of this run can be found in: /x.log", "npm error The `npm ci` command can only install with a lockfile"},
		"npm 6":         {"npm ERR! code ELIFECYCLE\nnpm ERR! errno 1\nnpm ERR! Missing script: \"x\"\nnpm ERR! \nnpm ERR! A complete log of this run can be found in:\nnpm ERR!     /x.log", "npm ERR! Missing script: \"x\""},
		"npm typo":      {"Unknown command: \"cii\"\n\n\nDid you mean this?\n  npm ci # Clean install a project\nTo see a list of supported npm commands, run:\n  npm help", "Unknown command: \"cii\""},
		"npm run":       {"\n> app@1.0.0 dev\n> node x.js\n\n/app/x.js:3\n  throw new Error('no DB');\n  ^\n\nError: no DB\n    at Object.<anonymous> (/app/x.js:3:7)\n\nNode.js v20.1.0\nnpm error Lifecycle script `dev` failed with error:\nnpm error code 1\nnpm error path /app", "Error: no DB"},
		"node":          {"node:internal/modules/cjs/loader:1080\n  throw err;\n  ^\n\nError: Cannot find module '/app/no.js'\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1077:15)\n    at throwError (x.js) {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}\n\nNode.js v18.19.0", "Error: Cannot find module '/app/no.js'"},
		"python":        {"Traceback (most recent call last):\n  File \"/app/x.py\", line 3, in <module>\n    import nothing\nModuleNotFoundError: No module named 'nothing'", "ModuleNotFoundError: No module named 'nothing'"},
		"python, own":   {"Traceback (most recent call last):\n  File \"x.py\", line 3, in f\n    raise error\napp.Improper: set SECRET", "app.Improper: set SECRET"},
		"go panic":      {"panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/tmp/x.go:5 +0x1d\nexit status 2", "panic: runtime error: index out of range [5] with length 3"},
		"go own panic":  {"booting\npanic: no DB\n\ngoroutine 1 [running]:\nmain.(*app).run(0xc000)\n\t/tmp/x.go:5 +0x1d\nexit status 2", "panic: no DB"},
		"go fatal":      {"2026/01/02 10:00:00 booting\n2026/01/02 10:00:00 listen tcp :80: bind: permission denied\nexit status 1", "2026/01/02 10:00:00 listen tcp :80: bind: permission denied"},
		"rust panic":    {"thread 'main' panicked at src/main.rs:2:5:\nno DB\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace", "no DB"},
		"rust stack":    {"thread 'main' panicked at src/main.rs:2:5:\nno DB\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/x/std/src/panicking.rs:645:5", "no DB"},
		"rustc":         {"error[E0425]: cannot find value `x` in this scope\n --> src/main.rs:2:5\n  |\n2 |     x;\n  |     ^ not found in this scope\n\nerror: aborting due to 1 previous error\n\nFor more information about this error, try `rustc --explain E0425`.\nerror: could not compile `app` (bin \"app\") due to 1 previous error", "error[E0425]: cannot find value `x` in this scope"},
		"postgres":      {"LOG:  starting PostgreSQL 15\nFATAL:  data directory \"/x\" has wrong ownership\nHINT:  The server must be started by its owner.", "FATAL:  data directory \"/x\" has wrong ownership"},
		"java":          {"Exception in thread \"main\" java.lang.IllegalStateException: no DB\n\tat App.main(App.java:3)", "Exception in thread \"main\" java.lang.IllegalStateException: no DB"},
	} {
		if got := Telling(test.text); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
}
