"""Fieldtrail: who changed which field, from what to what; sealed, and shipped.

The sentence: inputs -> parsers -> normalize -> enrich -> protect -> seal -> journal -> outputs. Each word is a
module or package of that name; `docs/explanation/architecture.md` tells what each may and may not do.
"""

__version__ = "0.1.0"
