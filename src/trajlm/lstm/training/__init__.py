"""Training: settings, held-out stretch, batches, epochs, calibration."""
