"""The backends of a fleet: one in memory, one on Redis or Valkey, one on NATS.

Those on servers need optional libraries, so nothing is imported here: `fleet.open` imports the one that it needs.
"""
