"""Files of rows: their stored bytes, their kind and encoding, and their rows and columns."""
