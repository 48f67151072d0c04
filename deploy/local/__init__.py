"""Strata on one machine: Postgres and Redis from wheels, the demo model, the Procfile's processes."""
