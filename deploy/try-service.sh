#!/bin/sh
# Tests the service: boots a Debian in systemd-nspawn, installs syncer in it with install.sh, and goes through an
# operator's tasks. Prints each result, and exits 1 if anything is wrong.
# Nothing outside the container is changed, and no vendor is called: the sandbox replaces both.
set -eu
umask 022

usage() {
    cat <<'TEXT'
usage: try-service.sh [--root FOLDER]

  --root FOLDER   a Debian root to boot a copy of; made there by debootstrap if the folder does not exist, and kept
                  for the next time. Without it one is made and removed again.

Needs root, systemd-nspawn (Debian: systemd-container), debootstrap and a Python with pip.
environment: SUITE (bookworm), MIRROR (debootstrap's own)
TEXT
}

say() { printf '%s\n' "$*"; }
fail() { printf 'try-service.sh: %s\n' "$*" >&2; exit 1; }

# == inside of the container ===========================================================================

API=http://127.0.0.1:9999
WRONG=0

step() { printf '\n%s\n' "$*"; }
saw() { printf '  ok   %s\n' "$*"; }
wrong() {
    printf '  WRONG %s\n' "$*"
    WRONG=$((WRONG + 1))
}
same() { # same WHAT WANTED FOUND
    if [ "$2" = "$3" ]; then saw "$1: $3"; else wrong "$1: $3, and not $2"; fi
}
holds() { # holds WHAT COMMAND...
    what=$1
    shift
    if "$@" >/tmp/out 2>&1; then saw "$what"; else
        wrong "$what"
        sed 's/^/       /' /tmp/out
    fi
}
until_so() { # until_so SECONDS WHAT COMMAND...
    left=$(($1 * 5)) limit=$1 what=$2
    shift 2
    until "$@" >/tmp/out 2>&1; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            wrong "$what: not within $limit s"
            sed 's/^/       /' /tmp/out
            return
        fi
        sleep 0.2
    done
    saw "$what"
}
is() { [ "$1" = "$2" ]; }
property() { systemctl show --value -p "$1" syncer; }
restarts() { property NRestarts; }
became() { [ "$(property "$1")" = "$2" ]; } # became PROPERTY VALUE
restarted_since() { [ "$(restarts)" -gt "$1" ] && became ActiveState active; }
told() { journalctl -u syncer --since "@$SINCE" -o cat --no-pager | grep -qF -- "$1"; }
mark() { SINCE=$(date +%s); }
as_syncer() { runuser -u syncer -- "$@"; }
sql() { as_syncer sqlite3 -cmd '.timeout 5000' /var/lib/syncer/syncer.db "$@"; }
sound() { [ "$(sql 'PRAGMA integrity_check')" = ok ]; }
queue() { # queued, sending and unknown alternate while the vendor fails
    sql "SELECT id, contact_row, operation,
         CASE WHEN state IN ('queued', 'sending', 'unknown') THEN 'waits' ELSE state END FROM change_queue ORDER BY id"
}
state_is() { [ "$(sql "SELECT state FROM change_queue WHERE id = $1")" = "$2" ]; }
company() { # company CONTACT_ID: what the directory says
    call GET /state | python3 -c '
import json, sys
contacts = json.load(sys.stdin)["telecmi"]["1111113"]["contacts"]
print(next(one.get("company") or "" for one in contacts if one["contact_id"] == sys.argv[1]))' "$1"
}
company_is() { [ "$(company "$1")" = "$2" ]; }
call() { # call METHOD PATH [BODY]: the sandbox's control path
    python3 -c '
import sys, urllib.request
method, path, *body = sys.argv[1:]
data = body[0].encode() if body else None
request = urllib.request.Request(path, data, {"Content-Type": "application/json"}, method=method)
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())' "$1" "$API/_sandbox$2" ${3:+"$3"}
}
page() { # page PATH: the status and the text of one of the daemon's pages
    python3 -c '
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://127.0.0.1:9464" + sys.argv[1], timeout=10)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())' "$1"
}
page_says() { page "$1" | grep -q -- "$2"; }
exit_of() { # exit_of COMMAND...: its exit code, whatever that is; what it said stays in /tmp/said
    code=0
    "$@" >/tmp/said 2>&1 || code=$?
    echo "$code"
}
mode_of() { stat -c '%U:%G %a' "$1"; }

CONTACT=
edit() { # edit ROW COMPANY: as any SQLite client would; the contact's id stays in CONTACT
    CONTACT=$(sql "SELECT contact_id FROM telecmi_contacts WHERE id = $1")
    sql "UPDATE telecmi_contacts SET company = '$2' WHERE id = $1"
}

configure() { # configure [MORE]
    cat >/etc/syncer/config.toml <<TEXT
[database]
url = "sqlite:////var/lib/syncer/syncer.db"
[telecmi.main]
base_url = "$API"
app_id = 1111113
user_id = "101_1111113"
requests_per_second = 200.0
voicemails = { since = "2d" }
[smartflo.main]
base_url = "$API"
requests_per_second = 200.0
[http]
listen = "127.0.0.1:9464"
${1:-}
TEXT
}

inside() {
    step "1. The unit, as systemd reads it"
    holds "install.sh installs" sh /try/tree/deploy/install.sh
    sed 's/^/       /' /tmp/out
    holds "install.sh once more" sh /try/tree/deploy/install.sh
    if grep -q '^wrote' /tmp/out; then wrong "the second time it wrote something"; else saw "it wrote nothing"; fi
    same "verify says" "" "$(systemd-analyze verify --man=no syncer.service 2>&1)"
    # PrivateUsers and the like count, wherever it runs.
    level=$(systemd-analyze security --offline=true --no-pager /etc/systemd/system/syncer.service |
        sed -n 's/.*Overall exposure level for syncer.service: \([0-9.]*\).*/\1/p')
    holds "its exposure is $level, at most 1.1" python3 -c "import sys; sys.exit(not 0 < $level <= 1.1)"
    same "the config" "root:syncer 640" "$(mode_of /etc/syncer/config.toml)"
    same "the folder of the database" "syncer:syncer 700" "$(mode_of /var/lib/syncer)"
    same "the credentials" "root:root 700" "$(mode_of /etc/syncer/credentials)"

    step "2. What a restart cannot fix is not restarted"
    mark
    echo 'nonsense = 1' >/etc/syncer/config.toml
    systemctl start syncer >/tmp/out 2>&1 || true
    until_so 10 "a wrong config: it failed" became ActiveState failed
    same "with exit" 78 "$(property ExecMainStatus)"
    same "and restarts" 0 "$(restarts)"
    until_so 5 "the journal names the key" told nonsense
    configure
    mkdir -p /etc/systemd/system/syncer.service.d
    cat >/etc/systemd/system/syncer.service.d/try.conf <<TEXT
[Service]
LoadCredential=telecmi.main.secret:/etc/syncer/credentials/telecmi.main.secret
LoadCredential=telecmi.main.password:/etc/syncer/credentials/telecmi.main.password
LoadCredential=smartflo.main.token:/etc/syncer/credentials/smartflo.main.token
RestartSec=1s
WatchdogSec=8s
TEXT
    systemctl daemon-reload
    systemctl reset-failed syncer
    systemctl start syncer >/tmp/out 2>&1 || true
    until_so 10 "a missing credential: it failed" became ActiveState failed
    same "with exit" 243 "$(property ExecMainStatus)"
    same "and restarts" 0 "$(restarts)"
    (
        umask 077
        printf sandbox-secret >/etc/syncer/credentials/telecmi.main.secret
        printf sandbox-password >/etc/syncer/credentials/telecmi.main.password
        printf sandbox-token >/etc/syncer/credentials/smartflo.main.token
    )
    systemctl reset-failed syncer

    step "3. doctor, with the credentials that the daemon gets"
    same "exit" 0 "$(exit_of systemd-run --quiet --pipe --wait -p User=syncer \
        -p LoadCredential=telecmi.main.secret:/etc/syncer/credentials/telecmi.main.secret \
        -p LoadCredential=telecmi.main.password:/etc/syncer/credentials/telecmi.main.password \
        -p LoadCredential=smartflo.main.token:/etc/syncer/credentials/smartflo.main.token \
        /opt/syncer/bin/syncer --config /etc/syncer/config.toml doctor)"
    sed 's/^/       /' /tmp/said
    same "without them" 78 "$(exit_of as_syncer /opt/syncer/bin/syncer doctor)"

    step "4. Start"
    mark
    began=$(date +%s)
    systemctl enable --now syncer >/tmp/out 2>&1 || true
    same "it is" active "$(property ActiveState)"
    saw "READY after $(($(date +%s) - began)) s"
    # Ready means: migrated, and the schedule begun.
    same "jobs in its table" 5 "$(sql 'SELECT count(*) FROM sync_jobs')"
    until_so 60 "its status: all 5 jobs are healthy" became StatusText "all 5 jobs are healthy"
    until_so 5 "/healthz is 200" page_says /healthz '^200'
    until_so 5 "/metrics" page_says /metrics '^syncer_up 1'
    same "contacts in the mirror" "$(call GET /state | python3 -c 'import json, sys
print(len(json.load(sys.stdin)["telecmi"]["1111113"]["contacts"]))')" \
        "$(sql 'SELECT count(*) FROM telecmi_contacts WHERE contact_id IS NOT NULL AND deleted_at IS NULL')"
    same "the database" "syncer:syncer 600" "$(mode_of /var/lib/syncer/syncer.db)"
    same "open to others in its folder" "" "$(find /var/lib/syncer -mindepth 1 -perm /077)"
    pid=$(property MainPID)
    same "secrets in its process title" 0 "$(tr '\0' ' ' <"/proc/$pid/cmdline" | grep -c 'sandbox-' || true)"
    saw "it holds $(awk '/^VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MB, $(property TasksCurrent) tasks"

    step "5. An edit by a SQLite client"
    edit 3 'Example Traders'
    until_so 10 "is upstream" company_is "$CONTACT" "Example Traders"
    until_so 5 "its change is done" state_is 1 'done'

    step "6. A second daemon"
    same "is refused with" 75 "$(exit_of systemd-run --quiet --pipe --wait -p User=syncer \
        -p LoadCredential=telecmi.main.secret:/etc/syncer/credentials/telecmi.main.secret \
        -p LoadCredential=telecmi.main.password:/etc/syncer/credentials/telecmi.main.password \
        -p LoadCredential=smartflo.main.token:/etc/syncer/credentials/smartflo.main.token \
        /opt/syncer/bin/syncer --config /etc/syncer/config.toml run)"
    holds "and names the process that runs" grep -qF "process $pid" /tmp/said

    step "7. kill -9 in the middle of a push"
    call POST /faults '{"kind":"hang","seconds":20,"match":{"path":"/v3/contact/update"},"applied":"after"}' >/dev/null
    before=$(restarts)
    edit 5 'Sample Press'
    until_so 10 "the push is under way" state_is 2 sending
    kill -9 "$pid"
    until_so 20 "systemd started it again" restarted_since "$before"
    holds "the database is sound" sound
    until_so 30 "the change is done" state_is 2 'done'
    same "upstream says" "Sample Press" "$(company "$CONTACT")"
    call DELETE /faults >/dev/null

    step "8. A daemon that hangs (stopped, so that it gives no sign of life)"
    mark
    before=$(restarts)
    kill -STOP "$(property MainPID)"
    until_so 30 "the watchdog ended it, and systemd started it again" restarted_since "$before"
    until_so 5 "the journal says watchdog" told "Watchdog timeout"
    holds "the database is sound" sound
    until_so 60 "all well" became StatusText "all 5 jobs are healthy"

    step "9. Reload"
    mark
    pid=$(property MainPID)
    configure '[https]
listen = 5'
    holds "systemctl reload, with a wrong config" systemctl reload syncer
    until_so 10 "the error is reported" told https
    until_so 5 "and that the old config stays" told "the old config stays"
    same "it is" active "$(property ActiveState)"
    configure '[backup]
enabled = true
path = "/var/lib/syncer/backups"'
    holds "systemctl reload, with a good one" systemctl reload syncer
    until_so 20 "the good one is in force" told "is in force"
    same "the process is the same" "$pid" "$(property MainPID)"
    until_so 30 "what it asks for is done: a backup" told "a backup was made and checked"
    until_so 60 "all well" became StatusText "all 5 jobs are healthy"

    step "10. Stop, while a vendor hangs"
    call POST /faults '{"kind":"hang","seconds":60,"times":100}' >/dev/null
    before=$(sql 'SELECT coalesce(max(id), 0) FROM sync_runs')
    systemctl kill --kill-whom=main -s HUP syncer
    until_so 30 "runs are under way" under_way "$before"
    began=$(date +%s)
    systemctl stop syncer
    took=$(($(date +%s) - began))
    holds "it ended after $took s, within 10" test "$took" -le 10
    same "its result" success "$(property Result)"
    same "runs without an end" 0 "$(sql 'SELECT count(*) FROM sync_runs WHERE finished_at IS NULL')"
    call DELETE /faults >/dev/null

    step "11. Upgrade with a migration, in the middle of things"
    # Nothing can be sent for a while, so that there is a queue; a delete waits for a person.
    call POST /faults '{"kind":"http","status":503,"times":null,"match":{"path":"/v3/contact/update"}}' >/dev/null
    systemctl start syncer
    edit 7 'Specimen Foods'
    sql "DELETE FROM telecmi_contacts WHERE id = 9"
    until_so 20 "the upgrade was tried and failed" \
        sh -c "[ \"\$(runuser -u syncer -- sqlite3 /var/lib/syncer/syncer.db 'SELECT attempts > 0 FROM change_queue WHERE id = 3')\" = 1 ]"
    newer
    mark
    queued=$(queue)
    people=$(sql "SELECT id, contact_id, phone_no, company, deleted_at FROM telecmi_contacts ORDER BY id" | sha256sum)
    triggers=$(sql "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name" | sha256sum)
    holds "install.sh of the newer version, over a running service" sh /try/newer/deploy/install.sh
    same "it is" active "$(property ActiveState)"
    same "the schema is" 9999 "$(sql 'SELECT version_num FROM alembic_version')"
    same "the queue" "$queued" "$(queue)"
    same "the contacts" "$people" \
        "$(sql "SELECT id, contact_id, phone_no, company, deleted_at FROM telecmi_contacts ORDER BY id" | sha256sum)"
    same "the triggers" "$triggers" \
        "$(sql "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name" | sha256sum)"
    copy=$(find /var/lib/syncer -name 'syncer.db.before-9999-*')
    holds "a copy was taken first: $copy" test -f "$copy"
    same "its mode" "syncer:syncer 600" "$(mode_of "$copy")"
    call DELETE /faults >/dev/null
    until_so 60 "the change of before goes out" company_is "$CONTACT" "Specimen Foods"
    same "db check" 0 "$(exit_of with_credentials db check)"

    step "12. Back to the older version"
    mark
    same "install.sh of the older one ends" 1 "$(exit_of sh /try/tree/deploy/install.sh)"
    sed 's/^/       /' /tmp/said
    until_so 10 "the service failed" became ActiveState failed
    same "with exit" 78 "$(property ExecMainStatus)"
    until_so 5 "the journal says why" told "was written by a newer version of syncer"
    same "the schema still is" 9999 "$(sql 'SELECT version_num FROM alembic_version')"
    # As docs/operations.md has it.
    (
        cd /var/lib/syncer
        mkdir aside
        for file in syncer.db syncer.db-wal syncer.db-shm; do
            if [ -e "$file" ]; then mv "$file" aside/; fi
        done
        mv "$copy" syncer.db
        chown syncer:syncer syncer.db
        chmod 600 syncer.db
    )
    systemctl reset-failed syncer
    holds "with the copy from before the upgrade it starts" systemctl start syncer
    until_so 60 "all well" became StatusText "all 5 jobs are healthy"
    until_so 30 "what the copy had queued and upstream shows is closed" state_is 3 'done'
    same "the delete waits as before" held "$(sql 'SELECT state FROM change_queue WHERE id = 4')"

    step "13. What it said"
    journalctl -u syncer -o cat --no-pager >/tmp/journal
    same "lines in the journal with a secret" 0 "$(grep -cE 'sandbox-(secret|password|token|user-token)' /tmp/journal || true)"
    same "lines with a phone number" 0 "$(grep -cE '91?92000[0-9]{5}' /tmp/journal || true)"
    same "tracebacks" 0 "$(grep -c Traceback /tmp/journal || true)"
    same "files with a secret, tokens aside" "" "$(grep -lrE 'sandbox-(secret|password|token|user-token)' /var/lib/syncer |
        grep -v '/syncer\.db\.tokens$' || true)"

    step "14. Uninstall, twice, then with --purge, twice"
    holds "uninstall.sh" sh /try/tree/deploy/uninstall.sh
    holds "again" sh /try/tree/deploy/uninstall.sh
    holds "the config and the database are there" test -e /etc/syncer/config.toml -a -e /var/lib/syncer/syncer.db
    holds "the program is gone" test ! -e /opt/syncer -a ! -e /usr/local/bin/syncer
    same "its unit" not-found "$(property LoadState)"
    holds "uninstall.sh --purge" sh /try/tree/deploy/uninstall.sh --purge
    holds "again" sh /try/tree/deploy/uninstall.sh --purge
    holds "nothing is left" test ! -e /etc/syncer -a ! -e /var/lib/syncer
    same "the user" 2 "$(exit_of getent passwd syncer)"

    step "Surprises: $WRONG"
    if [ "$WRONG" -gt 0 ]; then
        journalctl -u syncer --no-pager -o short-monotonic | tail -60 >/try/journal.txt || true
    fi
    echo "$WRONG" >/try/surprises
}

under_way() { # under_way ID: runs newer than this one have begun and not ended
    [ "$(sql "SELECT count(*) > 0 FROM sync_runs WHERE finished_at IS NULL AND id > $1")" = 1 ]
}

with_credentials() {
    as_syncer env SYNCER_TELECMI_MAIN_SECRET=sandbox-secret SYNCER_TELECMI_MAIN_PASSWORD=sandbox-password \
        SYNCER_SMARTFLO_MAIN_TOKEN=sandbox-token /opt/syncer/bin/syncer --config /etc/syncer/config.toml "$@"
}

newer() { # a copy of the tree whose schema is one step ahead
    cp -a /try/tree /try/newer
    head=$(sed -n 's/^HEAD = "\(.*\)"$/\1/p' /try/tree/syncer/store/db/revision.py)
    sed -i -e 's/^HEAD = .*/HEAD = "9999"/' -e 's/^REVISIONS = (\(.*[^,]\),*)$/REVISIONS = (\1, "9999")/' \
        /try/newer/syncer/store/db/revision.py
    sed -i -E 's/^__version__ = .*/__version__ = "99.0"/' /try/newer/syncer/__init__.py
    cat >/try/newer/migrations/versions/9999_try.py <<TEXT
"""A step for trying out: one column more, and a trigger lost as where a table is rebuilt."""

from alembic import op

revision = "9999"
down_revision = "$head"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sync_jobs ADD COLUMN tried TEXT")
    op.execute("DROP TRIGGER IF EXISTS telecmi_contacts_after_update")
TEXT
}

if [ "${1:-}" = --inside ]; then
    inside
    exit 0
fi

# == outside ===========================================================================================

ROOT=
while [ $# -gt 0 ]; do
    case $1 in
        --root) [ $# -ge 2 ] || { usage >&2; exit 2; }; ROOT=$2; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ "$(id -u)" -eq 0 ] || fail "run it as root"
for program in systemd-nspawn debootstrap python3; do
    command -v "$program" >/dev/null || fail "$program is missing (Debian: systemd-container, debootstrap, python3)"
done
SUITE=${SUITE:-bookworm}
SOURCE=$(dirname -- "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)")
WORK=$(mktemp -d)
MACHINE=
clean_up() {
    if [ -n "$MACHINE" ] && kill -0 "$MACHINE" 2>/dev/null; then
        kill "$MACHINE" # powers it off
        wait "$MACHINE" 2>/dev/null || :
    fi
    rm -rf --one-file-system -- "$WORK"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ROOT=${ROOT:-$WORK/root}
if [ ! -d "$ROOT" ]; then
    say "making a Debian ($SUITE) in $ROOT: a minute or two"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3,python3-venv,sqlite3 \
        "$SUITE" "$ROOT.part" ${MIRROR:+"$MIRROR"} >"$WORK/debootstrap.log" 2>&1 ||
        { tail -20 "$WORK/debootstrap.log" >&2; rm -rf --one-file-system -- "$ROOT.part"; fail "debootstrap failed"; }
    mv "$ROOT.part" "$ROOT"
fi

say "fetching the pinned packages"
mkdir -p "$WORK/try/wheels"
version=$(chroot "$ROOT" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
python3 -m venv "$WORK/venv"
for list in run build; do
    "$WORK/venv/bin/python" -m pip --disable-pip-version-check download -qq --no-deps --require-hashes \
        --only-binary=:all: --python-version "$version" -d "$WORK/try/wheels" -r "$SOURCE/requirements/$list.txt"
done
mkdir "$WORK/try/tree"
(cd "$SOURCE" && tar -cf - --exclude=./.git --exclude=./.venv --exclude='__pycache__' .) | tar -xf - -C "$WORK/try/tree"
cp -a "$ROOT" "$WORK/machine"

UNITS=$WORK/machine/etc/systemd/system
cat >"$UNITS/sandbox.service" <<'TEXT'
[Service]
# From the tree, so that it does not depend on what is being installed and removed.
ExecStart=/try/sandbox/bin/python -m syncer.sandbox --port 9999 --contacts 60 --voicemails 8 --smartflo 20 --user-contacts 8
WorkingDirectory=/try/tree
Environment=PYTHONDONTWRITEBYTECODE=1
TEXT
cat >"$UNITS/try.service" <<'TEXT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment=PIP_NO_INDEX=1 PIP_FIND_LINKS=/try/wheels PIP_ROOT_USER_ACTION=ignore
ExecStartPre=/usr/bin/python3 -m venv /try/sandbox
ExecStartPre=/try/sandbox/bin/python -m pip install --quiet --require-hashes -r /try/tree/requirements/run.txt
ExecStartPre=/bin/systemctl start sandbox.service
ExecStart=/bin/sh /try/tree/deploy/try-service.sh --inside
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=append:/try/log
StandardError=append:/try/log
TEXT
mkdir -p "$UNITS/multi-user.target.wants"
ln -s ../try.service "$UNITS/multi-user.target.wants/try.service"

say "booting it"
: >"$WORK/try/log"
tail -n +1 -F "$WORK/try/log" 2>/dev/null &
reader=$!
timeout --kill-after=60 900 systemd-nspawn --quiet --directory="$WORK/machine" --boot --private-network --register=no --keep-unit \
    --machine="syncer-try-$$" --console=pipe --bind="$WORK/try:/try" </dev/null >"$WORK/console" 2>&1 &
MACHINE=$!
code=0
wait "$MACHINE" || code=$?
MACHINE=
sleep 1
kill "$reader" 2>/dev/null || :
if [ ! -e "$WORK/try/surprises" ]; then
    tail -20 "$WORK/console" >&2
    fail "it did not come to its end (systemd-nspawn ended with $code)"
fi
if [ "$(cat "$WORK/try/surprises")" != 0 ]; then
    sed 's/^/  | /' "$WORK/try/journal.txt"
    fail "not everything was as it should be: see the lines with WRONG"
fi
say "Everything was as it should be."
