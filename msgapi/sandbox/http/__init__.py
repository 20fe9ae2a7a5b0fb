"""Requests and responses of the sandbox."""
