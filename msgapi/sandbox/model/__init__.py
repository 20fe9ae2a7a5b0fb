"""The state of an account, one file for each noun."""
