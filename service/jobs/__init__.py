"""Folders of pictures to files of embeddings.

A job is a folder: `job.json` (what it does, fixed when it starts), `listing.parquet` (its rows, likewise), one part a shard,
and `_SUCCESS.json` once all parts are there. A part appears whole or not at all, so the folder is all the state there is.
"""
