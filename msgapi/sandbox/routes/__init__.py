"""The routes of the sandbox, one file for each noun."""
