"""Clients that cost little: a closed loop (wrk) and an open loop (Poisson arrivals)."""
