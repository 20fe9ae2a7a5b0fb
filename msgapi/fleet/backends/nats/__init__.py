"""The backend of a fleet on NATS JetStream, on asyncio only; needs the extra `nats`."""
