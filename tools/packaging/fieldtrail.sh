#!/bin/sh
# Isolated: neither the caller's directory nor PYTHON... variables change what runs.
exec /opt/fieldtrail/venv/bin/python -I -m shipper "$@"
