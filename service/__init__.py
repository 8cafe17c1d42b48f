"""Offers bundles over HTTP and to batch jobs. It never imports torch.

Reading order: operations (what is done with an image), scheduler (what runs next), registry (which models are loaded); app, api,
middleware and server put HTTP around them, jobs a folder. This file imports nothing.
"""
