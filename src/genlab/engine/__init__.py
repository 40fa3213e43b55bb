"""The machine: device, threads, calibration, optimisers, random streams, files, signals; independent of any model."""
