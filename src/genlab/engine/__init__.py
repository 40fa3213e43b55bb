"""The machine: device, threads, calibration, optimisers, random streams, files, signals. It knows no model."""
