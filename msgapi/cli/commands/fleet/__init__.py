"""The commands `msgapi fleet ...`: a file of messages sent by several workers over Redis, Valkey or NATS."""
