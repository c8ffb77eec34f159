#!/bin/sh
# Shows a published copy: a sandbox of the vendors, a mirror, and a private PostgreSQL, all in a temporary folder.
# `make demo-publish` runs it. Nothing is left behind.
set -eu

syncer=$1
programs=
for one in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null) "$(dirname "$(command -v initdb || echo /none)")"; do
    [ -x "$one/initdb" ] && [ -x "$one/pg_ctl" ] && [ -x "$one/psql" ] && programs=$one
done
if [ -z "$programs" ]; then
    echo "This demo starts a private PostgreSQL, which is not installed here." >&2
    echo "Debian and Ubuntu: sudo apt-get install postgresql. Fedora: sudo dnf install postgresql-server." >&2
    exit 1
fi

folder=$(mktemp -d /tmp/syncer-demo.XXXXXX)
sandbox=
# PostgreSQL does not run as root.
if [ "$(id -u)" -eq 0 ]; then
    as="runuser -u nobody --"
    chmod 711 "$folder"
else
    as=
fi
mkdir "$folder/pg"
[ -z "$as" ] || chown nobody "$folder/pg"

finish() {
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
    [ ! -e "$folder/pg/data/postmaster.pid" ] || (cd "$folder/pg" && $as "$programs/pg_ctl" -D data -m immediate -s stop) || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
run() { echo "\$ syncer $*"; "$syncer" --config "$folder/syncer.toml" "$@"; }
ask() { echo "office=> $1"; "$programs/psql" -h "$folder/pg" -U demo -d postgres -X -q -c "SET search_path TO syncer" -c "$1"; }

say "A private PostgreSQL starts on a socket in $folder."
cd "$folder/pg"
$as "$programs/initdb" -D data -U demo -A trust -E UTF8 --no-locale -N >/dev/null
$as "$programs/pg_ctl" -D data -w -s -l log -o "-c listen_addresses='' -c unix_socket_directories='$folder/pg'" start
cd "$folder"

"$syncer" sandbox --contacts 200 --calls 50 >"$folder/syncer.toml" 2>"$folder/sandbox.log" &
sandbox=$!
for _ in $(seq 100); do grep -q telecmi "$folder/syncer.toml" && break; sleep 0.1; done
chmod 600 "$folder/syncer.toml"
cat >>"$folder/syncer.toml" <<TOML

[publish.central]
url = "postgresql+psycopg://demo@/postgres?host=$folder/pg"
site = "chennai"
TOML

say "A first sync fills the mirror, and publishes it."
run sync
run status | grep Published
ask "SELECT site, provider, count(*) FROM contacts GROUP BY 1, 2 ORDER BY 2"

say "A contact is edited in the mirror; the copy follows."
phone=$("$syncer" --config "$folder/syncer.toml" contacts list --limit 1 --format csv | tail -n 1 | grep -o '+91[0-9]*' | head -n 1)
run contacts edit "$phone" --company "Acme Example"
run publish
ask "SELECT site, id, first_name, last_name, company FROM telecmi_contacts WHERE phone_e164 = '$phone'"

say "Somebody changes a row of the copy by hand."
ask "UPDATE telecmi_contacts SET company = 'Wrong' WHERE phone_e164 = '$phone'"
run verify --target central || true
run publish central --full
run verify --target central

say "That was all; docs/publish.md has the rest."
