"""The directory: who is behind which account, and what ids are called, from lists that others keep.

`sections` is its configuration, `people` reads the lists, `table` joins them, `fetch` asks vendors, `keeper` refreshes
and caches. The lookups are in `shipper/enrich.py`.
"""
