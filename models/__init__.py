"""What the network is, and what an exported network is: the bundle.

Reading order: config, encoder, predictor, ijepa, checkpoint; then graphs, parity, precisions, export and bundle; regions and
preprocess when a picture comes in; sources, convert and formats for the weights of others. This file imports nothing:
`service` may use config, preprocess, regions, blocks, energy, bundle, session, results, hub, published, files, progress and
errors, none of which needs torch.

One letter per dimension, in every signature of the project:

    B  images in a batch              M  target blocks of an image
    C  channels of a picture          T  patches in a target block
    H  height in pixels               D  width of the encoder
    W  width in pixels                P  width of the predictor
    N  patches of an image (gh*gw)    h  attention heads
    K  patches kept as context        gh, gw  rows and columns of the patch grid

Patch ids are row-major: id = row * gw + column.
"""
