#!/bin/sh
# The main job, for real: two sessions of one repository at once, one of them
# killed in the middle and recovered, both torn down, and nothing left.
# Needs: ecluse in the PATH, git, curl, go. With Docker a data service as well.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
export ECLUSE_STATE_DIR="$dir/state"
dir=$(cd "$dir" && pwd -P)
repo="$dir/shop"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
# await TEXT COMMAND...: until COMMAND succeeds, at most 30 s.
await() {
	what=$1; shift
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ "$n" -lt 300 ] || die "waited 30 s for $what"
		sleep 0.1
	done
}
leave() {
	status=$?
	cd /
	if [ "$status" -ne 0 ] && [ -d "$repo" ]; then
		(cd "$repo" && ecluse ls && ecluse down feat-red; ecluse down feat-blue) >&2 || true
	fi
	[ -z "${image:-}" ] || docker image rm -f "$image" >/dev/null 2>&1 || true
	rm -rf "$dir"
	exit "$status"
}
trap leave EXIT INT TERM

say "a small repository: a web service, hooks$(docker info >/dev/null 2>&1 && echo ', and a compose file')"
mkdir -p "$repo" "$dir/bin"
CGO_ENABLED=0 go build -o "$dir/bin/shop-web" "$here/demo/web.go"
export PATH="$dir/bin:$PATH"
cd "$repo"
git init -q -b main
mode=host
if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
	mode=hybrid
	image="ecluse-demo/store:$$"
	mkdir "$dir/image"
	cp "$dir/bin/shop-web" "$dir/image/web"
	printf 'FROM scratch\nCOPY web /web\nENTRYPOINT ["/web"]\n' >"$dir/image/Dockerfile"
	docker build -q -t "$image" "$dir/image" >/dev/null
	cat >compose.yaml <<EOF
services:
  store:
    image: $image
    environment: {PORT: "80", ECLUSE_SLUG: "the container of \${ECLUSE_SLUG}", ECLUSE_SLOT: "\${ECLUSE_SLOT}"}
    ports: ["7080:80"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "/web", "check"], interval: 1s}
volumes: {data: {}}
EOF
fi
cat >.ecluse.toml <<EOF
mode = "$mode"

[hooks]
pre_up   = 'echo "making room for \$ECLUSE_SLUG"'
post_up  = 'sleep 2; echo "seeded" > seeded.txt'
pre_down = 'rm -f seeded.txt'

[[services]]
name = "web"
base_port = 7000
command = "exec shop-web"
ready = { http = "/" }

[env]
SHOP_URL = "http://localhost:\${ECLUSE_WEB_PORT}"
EOF
printf 'seeded.txt\n.ecluse/\n' >.gitignore
git add -A
git -c user.name=demo -c user.email=demo@example.com commit -q -m "a shop"
run ls -A

say "two sessions at once"
echo '$ ecluse up feat/red & ecluse up feat/blue &'
ecluse up feat/red --progress plain &
red=$!
ecluse up feat/blue --progress quiet &
blue=$!
slow_step() { ecluse ls | grep '^feat-blue .* hook:post_up'; }
await "feat-blue to be in its post_up hook" slow_step

say "ls answers while both are at work"
run ecluse ls

say "kill one with SIGKILL, in the middle of a step"
run kill -KILL "$blue"
wait "$blue" 2>/dev/null || true
run ecluse ls

say "the other one is not disturbed"
wait "$red"
run ecluse ls

say "recover finishes what was cut off"
run ecluse recover
run ecluse ls

say "each session has its own service$([ "$mode" = host ] || echo 's')"
for slug in feat-red feat-blue; do
	. "$repo/.ecluse/worktrees/$slug/.env.ecluse"
	run curl -fsS "$SHOP_URL" | tee "$dir/answer"
	grep -q "hello from $slug" "$dir/answer" || die "the wrong session answers"
	[ "$mode" = host ] || run curl -fsS "http://localhost:$ECLUSE_STORE_PORT"
done

say "uncommitted work survives the teardown"
echo "half an idea" >"$repo/.ecluse/worktrees/feat-red/idea.txt"
run ecluse down feat-red
run ecluse down feat-blue
git for-each-ref --format='%(refname)' refs/ecluse/trash

say "nothing is left"
run ecluse ls
run git worktree list
run git branch --list
[ "$(git worktree list | wc -l)" = 1 ] || die "a worktree is left"
[ "$(git branch --list | wc -l)" = 1 ] || die "a branch is left"
[ -z "$(ls "$repo/.ecluse/worktrees" 2>/dev/null)" ] || die "a folder is left"
for file in /proc/[0-9]*/environ; do
	env=$({ tr '\0' '\n' <"$file"; } 2>/dev/null) || continue
	case $env in
	*"ECLUSE_STATE_DIR=$ECLUSE_STATE_DIR"*ECLUSE_SESSION_ID=* | *ECLUSE_SESSION_ID=*"ECLUSE_STATE_DIR=$ECLUSE_STATE_DIR"*)
		die "a process is left: $file" ;;
	esac
done
if [ "$mode" != host ]; then
	for kind in "ps -aq" "network ls -q" "volume ls -q"; do
		# shellcheck disable=SC2086
		[ -z "$(docker $kind --filter "label=ecluse.repo=$repo/.git")" ] || die "docker $kind shows something"
	done
fi
printf '\nno worktree, branch, process, container, network or volume. That is the point.\n'
