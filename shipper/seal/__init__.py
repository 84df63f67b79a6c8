"""Sealing: canonical bytes, the Merkle tree, signed checkpoints, and the verifier that needs none of the agent."""
