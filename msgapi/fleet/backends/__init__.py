"""The backends of a fleet on servers: Redis or Valkey (extra `redis`), and NATS JetStream (extra `nats`, asyncio only).

They need optional libraries, so nothing is imported here: `fleet.open` imports the one that it needs. The backend in
memory is in `fleet/backend.py`.
"""
