#!/bin/sh
# deb: remove | purge | upgrade …; rpm: 0 = removed, 1 = upgraded.
# Keys, journal and store go with `purge` alone, archives in /var/log/fieldtrail never.
set -e
case "$1" in
remove | purge | 0)
  rm -rf /opt/fieldtrail/venvs /opt/fieldtrail/venv
  rmdir /opt/fieldtrail 2>/dev/null || true
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
  fi
  ;;
esac
if [ "$1" = purge ]; then
  rm -rf /var/lib/fieldtrail /etc/fieldtrail
fi
