"""Request schemas, validators, the mapping of fields to the wire, undocumented bodies and pages of lists."""
