"""HTTP as the sandbox reads and writes it: bodies, queries, error envelopes, idempotency keys and rate limits."""
