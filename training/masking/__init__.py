"""Masking strategies: which patches a step predicts, and from which it predicts them."""
