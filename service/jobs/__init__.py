"""Images of sources to files of embeddings.

A job is a folder: one part a shard, and in the hidden folder `.job` what the job is and which rows it has, both fixed when it
starts. A part appears complete or not at all, so the folder is the whole state.
"""
