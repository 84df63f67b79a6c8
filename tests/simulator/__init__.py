"""A simulator of the vendors: one small server that speaks each API's paging, limits, errors, signatures and retries.

`World` holds the records and the ground truth: every change that really was made, by whom and when. The vendors (`keap`,
`highlevel`, `hubspot`, `bamboohr`, `feeds`) show it as their documented APIs do; `Hooks` delivers webhooks with each
vendor's batches, signatures and retries; `Faults` breaks answers; `Judge` compares what an agent shipped with the truth.

Marks in the vendors' modules: *confirmed* stands in the vendor's own documentation or SDK; *third-party* in others' code
or pages only; *not confirmed* is an assumption of ours.
"""
