"""Uses bundles. It never imports torch.

Reading order: engine (the journeys of a picture), then what it calls: decoding, batching, runtimes, encoding; app and api
put HTTP around it, jobs a folder. This file imports nothing.
"""
