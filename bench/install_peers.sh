#!/bin/sh
# Puts the peers of the benchmark, rsyslog and syslog-ng with what sends to an Elasticsearch, beside each other into a
# cache folder outside the tree, for bench/run.py. Needs no root and installs nothing: the packages are fetched and
# unpacked (apt-get update has to have been run once). Doing it again does nothing. Another place: XDG_CACHE_HOME.
set -eu

cache="${XDG_CACHE_HOME:-$HOME/.cache}/fieldtrail/bench-peers"
if [ -e "$cache/complete" ]; then
    echo "$cache: already there"
    exit 0
fi
for program in apt-get dpkg-deb; do
    command -v "$program" >/dev/null || {
        echo "error: no $program: this script knows Debian and Ubuntu only" >&2
        echo "hint: install rsyslog (omelasticsearch, mmjsonparse, mmnormalize) or syslog-ng (http) by other means" >&2
        exit 69
    }
done

mkdir -p "$(dirname "$cache")"
work="$(mktemp -d "$(dirname "$cache")/bench-peers.XXXXXX")"
trap 'rm -rf "$work"' EXIT INT TERM

# Asked for one peer at a time, since the two may not be installed together; what this machine has is not fetched.
packages=""
for peer in "rsyslog rsyslog-elasticsearch" "syslog-ng-core syslog-ng-mod-http"; do
    # shellcheck disable=SC2086  # a list of names
    simulated="$(apt-get install --simulate --no-install-recommends $peer 2>&1)" || {
        echo "$simulated" >&2
        echo "hint: apt-get update" >&2
        exit 69
    }
    # The peers themselves even where they are installed, and the libraries that this machine lacks.
    packages="$packages $peer $(echo "$simulated" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | tr '\n' ' ')"
done
packages="$(echo "$packages" | tr ' ' '\n' | sort -u)"

mkdir "$work/debs" "$work/root"
# shellcheck disable=SC2086  # a list of names
(cd "$work/debs" && apt-get download -qq $packages)
for deb in "$work/debs"/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
done
rm -rf "$work/debs"
touch "$work/complete"
rm -rf "$cache"
mv "$work" "$cache"
trap - EXIT INT TERM
echo "$cache: rsyslog and syslog-ng are ready"
