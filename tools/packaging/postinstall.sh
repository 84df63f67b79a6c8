#!/bin/sh
# deb: configure [OLD-VERSION] | triggered NAMES | abort-…; rpm: 1 = installed, 2 = upgraded.
set -e
case "$1" in
configure | 1 | 2) ;;
triggered)
  before=$(readlink /opt/fieldtrail/venv || true)
  /opt/fieldtrail/rebuild --if-needed
  if [ "$(readlink /opt/fieldtrail/venv)" != "$before" ] && [ -d /run/systemd/system ]; then
    systemctl try-restart fieldtrail.service || true
  fi
  exit 0
  ;;
*) exit 0 ;;
esac

if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers /usr/lib/sysusers.d/fieldtrail.conf
elif ! getent passwd fieldtrail >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/fieldtrail --shell /usr/sbin/nologin fieldtrail
fi
install -d -o root -g fieldtrail -m 0750 /etc/fieldtrail
install -d -o fieldtrail -g fieldtrail -m 0700 /var/lib/fieldtrail
install -d -o fieldtrail -g fieldtrail -m 0750 /var/log/fieldtrail
# Whoever deleted it did so on purpose.
[ ! -e /etc/fieldtrail/fieldtrail.yaml ] || chgrp fieldtrail /etc/fieldtrail/fieldtrail.yaml

/opt/fieldtrail/rebuild

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  # Only one that runs is started anew; nothing is enabled and nothing started here.
  systemctl try-restart fieldtrail.service || true
fi
if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then
  echo "Fieldtrail is installed and not started. Name your logs in /etc/fieldtrail/fieldtrail.yaml, then:"
  echo "  systemctl enable --now fieldtrail"
fi
