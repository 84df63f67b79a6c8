#!/bin/sh
# Puts rsyslog and syslog-ng, which Debian and Ubuntu do not let stand beside each other, into a cache folder outside the
# tree, for tests/integration/test_syslog_receivers.py. Needs no root; needs the package lists (apt-get update).
# Doing it again does nothing. Another place: XDG_CACHE_HOME.
set -eu

cache="${XDG_CACHE_HOME:-$HOME/.cache}/fieldtrail/receivers"
wanted="rsyslog rsyslog-gnutls rsyslog-relp syslog-ng-core"
if [ "$(cat "$cache/complete" 2>/dev/null)" = "$wanted" ]; then
    echo "$cache: already there"
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || {
        echo "error: no $program: this script knows Debian and Ubuntu only" >&2
        echo "hint: install rsyslog (with gtls) or syslog-ng by other means; the tests find them on PATH" >&2
        exit 69
    }
done

mkdir -p "$(dirname "$cache")"
work="$(mktemp -d "$(dirname "$cache")/receivers.XXXXXX")"
trap 'rm -rf "$work"' EXIT INT TERM

# Asked for one at a time, so that their conflict does not matter; what this machine has already is not fetched.
packages="$wanted"
for package in $wanted; do
    simulated="$(apt-get install --simulate --no-install-recommends "$package" 2>&1)" || {
        echo "$simulated" >&2
        echo "hint: apt-get update" >&2
        exit 69
    }
    packages="$packages $(echo "$simulated" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | tr '\n' ' ')"
done
packages="$(echo "$packages" | tr ' ' '\n' | sort -u)"

mkdir "$work/debs" "$work/root"
# shellcheck disable=SC2086  # a list of names
(cd "$work/debs" && apt-get download -qq $packages)
for deb in "$work/debs"/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
done
rm -rf "$work/debs"
echo "$wanted" >"$work/complete"
rm -rf "$cache.old"
if [ -e "$cache" ]; then mv "$cache" "$cache.old"; fi
mv "$work" "$cache"
rm -rf "$cache.old"
trap - EXIT INT TERM
echo "$cache: rsyslog and syslog-ng are ready"
