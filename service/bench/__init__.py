"""What a bundle costs on this machine: matrix products, the engine, decoding, HTTP."""
