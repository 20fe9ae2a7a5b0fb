"""The routes below `/_sandbox` that read: what is in the sandbox, for its page and for tests in any language."""
