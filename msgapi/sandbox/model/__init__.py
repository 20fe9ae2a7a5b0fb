"""The state of an account, one module for each noun of the API. Times are in Unix seconds, amounts in EUR."""
