#!/bin/sh
# Makes the virtual environment of /usr/bin/fieldtrail from the wheels beside this file; needs no network.
# Usage: rebuild [--if-needed]
# A new environment is made beside the old one and takes its place at once, so that an agent that runs is not disturbed.
set -eu
umask 022
home=$(dirname "$(readlink -f "$0")")
read -r version <"$home/version"

fail() {
  printf 'error: build the virtual environment: %s: %s\nhint: %s\n' "$home/venv" "$1" "$2" >&2
  exit 1
}

if [ "${1-}" = --if-needed ] && [ -x "$home/venv/bin/python" ] && [ "$(cat "$home/venv/version")" = "$version" ]; then
  # Nothing runs yet that could need an older one.
  for old in "$home"/venvs/*; do
    [ "$old" = "$(readlink -f "$home/venv")" ] || rm -rf "$old"
  done
  exit 0
fi

# The system's own Python first, since it is the one that is kept safe; then any newer one with wheels here.
python=
for name in python3 python3.14 python3.13 python3.12 python3.11; do
  found=/usr/bin/$name
  [ -x "$found" ] || continue
  which=$("$found" -I -S -c 'import sys, venv; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  if grep -qx "$which" "$home/pythons"; then
    python=$found
    break
  fi
done
[ -n "$python" ] || fail "no Python $(paste -sd ' ' "$home/pythons") with the venv module in /usr/bin" \
  "install one of them, then: $home/rebuild"

mkdir -p "$home/venvs"
new=$(mktemp -d "$home/venvs/$version-py$which-XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
# The very interpreter, not a name that an upgrade turns into another one.
"$(readlink -f "$python")" -I -m venv --without-pip "$new"
# By name and hash: while an rpm is upgraded the wheels of the version before lie beside these.
read -r pip <"$home/pip-wheel"
install() {
  "$new/bin/python" -I "$home/wheels/$pip/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    --no-index --no-deps --only-binary :all: "$@"
}
install --find-links "$home/wheels" --require-hashes --requirement "$home/requirements-$which.txt"
install "$home/wheels/fieldtrail-$version-py3-none-any.whl"
"$new/bin/python" -I -m shipper version >/dev/null || fail "it was built and does not run" "$new/bin/python -I -m shipper version"
printf '%s\n' "$version" >"$new/version"
ln -s "$new" "$new/link"
mv -T "$new/link" "$home/venv"
trap - EXIT
