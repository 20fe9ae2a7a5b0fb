"""What the docs of the API leave open, and what the sandbox does, by subject; `decisions` has all of it."""
