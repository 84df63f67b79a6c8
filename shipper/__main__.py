"""`python -m shipper` is `fieldtrail`."""

from shipper.cli import main

main()
