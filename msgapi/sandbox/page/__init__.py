"""The page of the sandbox: who may open it, its files, and the stream of changes that it follows."""
