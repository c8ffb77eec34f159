#!/bin/sh
# Installs syncer as a service, or upgrades an installed one to this version.
# Can be run again at any time: config, credentials and database are kept.
# With DESTDIR=/some/folder everything goes below that folder, and users and systemd are not touched.
set -eu
umask 022

usage() {
    cat <<'TEXT'
usage: install.sh [--wheel FILE] [--no-packages]

  --wheel FILE    install this wheel instead of building one from the folder that this script lies in
  --no-packages   leave /opt/syncer as it is: user, folders, config and unit only

environment: DESTDIR  a folder to try it in, without root;  PYTHON  the Python to use (3.11 or newer)
TEXT
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

DESTDIR=${DESTDIR:-}
DESTDIR=${DESTDIR%/}
WHEEL=
PACKAGES=yes
while [ $# -gt 0 ]; do
    case $1 in
        --wheel) [ $# -ge 2 ] || { usage >&2; exit 2; }; WHEEL=$2; shift ;;
        --no-packages) PACKAGES=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
SOURCE=$(dirname -- "$HERE")
VENV=$DESTDIR/opt/syncer
CONFIG=$DESTDIR/etc/syncer
STATE=$DESTDIR/var/lib/syncer
UNITS=$DESTDIR/etc/systemd/system
LINK=$DESTDIR/usr/local/bin/syncer

REAL=no
if [ -z "$DESTDIR" ]; then
    REAL=yes
    [ "$(id -u)" -eq 0 ] || fail "run it as root, or with DESTDIR=/some/folder to try it out"
else
    case $DESTDIR in /*) ;; *) fail "DESTDIR must be an absolute path" ;; esac
fi
for file in syncer.service restart-steps.conf; do
    [ -r "$HERE/$file" ] || fail "$HERE/$file is missing"
done
[ -r "$SOURCE/config.example.toml" ] || fail "$SOURCE/config.example.toml is missing"

owned() { # owned OWNER PATH: only where there is such a user
    if [ "$REAL" = yes ]; then chown "$1" "$2"; fi
}

# -- the packages --------------------------------------------------------------------------------------

find_python() {
    for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
        [ "$candidate" != "${PYTHON:-}" ] || break
    done
    fail "Python 3.11 or newer is needed; name one with PYTHON=/path/to/python3"
}

TEMPORARY=
clean_up() { if [ -n "$TEMPORARY" ]; then rm -rf -- "$TEMPORARY"; fi; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

pip_of() { # pip_of VENV ARGUMENTS...
    venv=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" --quiet
}

make_venv() { # make_venv PYTHON FOLDER
    "$1" -m venv --clear "$2" ||
        fail "$1 cannot make environments; install its venv package (Debian: python3-venv)"
}

if [ "$PACKAGES" = yes ]; then
    python=$(find_python)
    wanted=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    there=$("$VENV/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :)
    if [ "$wanted" != "$there" ]; then
        say "making the environment $VENV with Python $wanted"
        mkdir -p "$DESTDIR/opt"
        make_venv "$python" "$VENV"
    fi
    if [ -z "$WHEEL" ]; then
        say "building the package"
        TEMPORARY=$(mktemp -d)
        make_venv "$python" "$TEMPORARY/venv"
        pip_of "$TEMPORARY/venv" install --require-hashes -r "$SOURCE/requirements/build.txt"
        pip_of "$TEMPORARY/venv" wheel --no-deps --no-build-isolation -w "$TEMPORARY/wheel" "$SOURCE"
        WHEEL=$(echo "$TEMPORARY"/wheel/*.whl)
    fi
    say "installing the pinned packages"
    pip_of "$VENV" install --require-hashes -r "$SOURCE/requirements/run.txt"
    pip_of "$VENV" install --no-deps --no-index --force-reinstall "$WHEEL"
    "$VENV/bin/syncer" --version
fi

# -- user and folders ----------------------------------------------------------------------------------

if [ "$REAL" = yes ] && ! getent passwd syncer >/dev/null; then
    say "making the user syncer"
    useradd --system --user-group --no-create-home --home-dir /var/lib/syncer \
        --shell /usr/sbin/nologin syncer
fi

mkdir -p "$CONFIG" "$CONFIG/credentials" "$STATE" "$UNITS" "$DESTDIR/usr/local/bin"
chmod 0750 "$CONFIG"
owned root:syncer "$CONFIG"
chmod 0700 "$CONFIG/credentials"
if [ "$REAL" = no ] || [ -z "$(ls -A "$STATE")" ]; then # later its mode is the unit's to say
    chmod 0700 "$STATE"
    owned syncer:syncer "$STATE"
fi

if [ ! -e "$CONFIG/config.toml" ]; then
    say "writing $CONFIG/config.toml"
    (
        umask 077
        sed -e 's|^url = "sqlite:///syncer\.db"|url = "sqlite:////var/lib/syncer/syncer.db"|' \
            -e 's|^path = "backups"|path = "/var/lib/syncer/backups"|' \
            -e 's|^path = "audio"|path = "/var/lib/syncer/audio"|' \
            "$SOURCE/config.example.toml" >"$CONFIG/config.toml.new"
        mv "$CONFIG/config.toml.new" "$CONFIG/config.toml"
    )
fi
chmod 0640 "$CONFIG/config.toml"
owned root:syncer "$CONFIG/config.toml"

# -- the unit ------------------------------------------------------------------------------------------

put() { # put FILE PATH: only when it differs, so that nothing is reloaded for nothing
    if cmp -s "$1" "$2"; then return; fi
    mkdir -p "$(dirname -- "$2")"
    cp "$1" "$2.new"
    chmod 0644 "$2.new"
    mv "$2.new" "$2"
    say "wrote $2"
}

put "$HERE/syncer.service" "$UNITS/syncer.service"
version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-0}" -ge 254 ]; then
    put "$HERE/restart-steps.conf" "$UNITS/syncer.service.d/restart-steps.conf"
fi

if [ -L "$LINK" ] || [ ! -e "$LINK" ]; then
    ln -sfn /opt/syncer/bin/syncer "$LINK"
else
    say "left $LINK alone: it is not ours"
fi

if [ "$REAL" = yes ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # An upgrade takes effect; a service that is stopped stays so.
    systemctl try-restart syncer.service ||
        fail "installed, but the service did not start again; this says why: journalctl -u syncer -n 20"
fi

cat <<'TEXT'

Installed. What is left to do, as root:
  1. edit /etc/syncer/config.toml                    accounts, credentials, and what to mirror
  2. sudo -u syncer syncer doctor                    says what is wrong, and how to fix it
  3. systemctl enable --now syncer                   starts it, now and at each boot
  4. systemctl status syncer; journalctl -u syncer   whether it works, and its log
TEXT
