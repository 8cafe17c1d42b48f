"""What training and serving share. This package imports nothing itself; folders marked * never import torch.

images*      bytes and places to pixels and the patch grid          network     the network in PyTorch
bundle*      exported networks: manifest, reader, card, hub         checkpoint  folders of weights and their record
runtimes*    what computes a bundle                                 importers   published weights to checkpoints
inference*   masked prediction, energy maps, the canonical image    export      checkpoints to bundles and other layouts
zoo          the bundled models

One letter per dimension, in every signature of the project:

    B  images in a batch              M  target blocks of an image
    C  channels of an image           T  patches in a target block
    H  height in pixels               D  width of the encoder
    W  width in pixels                P  width of the predictor
    N  patches of an image (gh*gw)    h  attention heads
    K  patches kept as context        gh, gw  rows and columns of the patch grid

Patch ids are row-major: id = row * gw + column.
"""
