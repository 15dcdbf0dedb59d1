"""How an operation is run: its form, one run of it, the exchange with PostgreSQL, the drivers."""
