#!/bin/sh
# deb: remove | upgrade …; rpm: 0 = removed, 1 = upgraded.
set -e
case "$1" in
remove | 0)
  if [ -d /run/systemd/system ]; then
    systemctl disable --now fieldtrail.service || true
  fi
  ;;
esac
