"""Computing with a bundle's networks: masked prediction, energies, calibration, the canonical image."""
