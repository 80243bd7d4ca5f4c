"""The sections of the page: each takes results and returns markup."""
