"""Batches: a file of rows is read, made into messages, sent and accounted for."""
