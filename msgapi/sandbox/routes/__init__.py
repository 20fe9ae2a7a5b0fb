"""The routes of the sandbox, one module for each noun of the API; `table` lists them."""
