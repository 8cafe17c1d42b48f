"""Torch-free. Bundles: the manifest, reading and writing, the model card, the hub, published weights."""
