#!/bin/sh
# Removes the service, the unit and the program. Can be run again at any time.
# Config, credentials and database are kept unless --purge is given.
# With DESTDIR=/some/folder it undoes what install.sh did there, and does not touch users and systemd.
set -eu

say() { printf '%s\n' "$*"; }
fail() { printf 'uninstall.sh: %s\n' "$*" >&2; exit 1; }

DESTDIR=${DESTDIR:-}
DESTDIR=${DESTDIR%/}
PURGE=no
case ${1:-} in
    '') ;;
    --purge) PURGE=yes ;;
    -h | --help) say "usage: uninstall.sh [--purge]   (--purge: the config, the database and its backups too)"; exit 0 ;;
    *) say "usage: uninstall.sh [--purge]" >&2; exit 2 ;;
esac

REAL=no
if [ -z "$DESTDIR" ]; then
    REAL=yes
    [ "$(id -u)" -eq 0 ] || fail "run it as root, or with DESTDIR=/some/folder"
else
    case $DESTDIR in /*) ;; *) fail "DESTDIR must be an absolute path" ;; esac
fi

VENV=$DESTDIR/opt/syncer
UNITS=$DESTDIR/etc/systemd/system
LINK=$DESTDIR/usr/local/bin/syncer

if [ "$REAL" = yes ] && [ -d /run/systemd/system ] && [ -e "$UNITS/syncer.service" ]; then
    systemctl disable --now syncer.service
fi

rm -f -- "$UNITS/syncer.service" "$UNITS/syncer.service.d/restart-steps.conf"
if [ -d "$UNITS/syncer.service.d" ]; then
    rmdir -- "$UNITS/syncer.service.d" 2>/dev/null ||
        say "left $UNITS/syncer.service.d: it holds drop-ins that are not ours"
fi
if [ "$REAL" = yes ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi

if [ -L "$LINK" ] && [ "$(readlink "$LINK")" = /opt/syncer/bin/syncer ]; then
    rm -f -- "$LINK"
fi
if [ -f "$VENV/pyvenv.cfg" ]; then
    rm -rf -- "$VENV"
elif [ -e "$VENV" ]; then
    say "left $VENV: it is no environment of ours"
fi

if [ "$PURGE" = yes ]; then
    rm -rf -- "$DESTDIR/etc/syncer" "$DESTDIR/var/lib/syncer"
    if [ "$REAL" = yes ] && getent passwd syncer >/dev/null; then
        userdel syncer
    fi
    say "Removed, with the config, the database and its backups."
else
    say "Removed. Kept: $DESTDIR/etc/syncer and $DESTDIR/var/lib/syncer; with --purge they go too."
fi
