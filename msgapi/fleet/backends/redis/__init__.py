"""The backend of a fleet on Redis or Valkey; needs the extra `redis`."""
