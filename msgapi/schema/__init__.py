"""What requests may hold, where models stand on the wire, and how answers are read that the docs do not show."""
