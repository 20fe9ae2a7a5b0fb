"""Tests of the sandbox's page in Chromium: `nox -s browser`. The other tests do without a browser."""
