"""Outputs: each is a cursor on the journal that delivers sealed documents to one destination.

An output never changes what it ships: the bytes of `Document.data` are the bytes that were sealed. What a destination
answers is a `Receipt`, never an exception; only a configuration that cannot work and a disk that cannot be trusted
raise. Outputs import nothing of one another's parts but the underscored helpers beside them.
"""
