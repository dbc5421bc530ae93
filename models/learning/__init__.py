"""What is trained and shipped: the policies, the sequence PICNN, its calibration (PyTorch)."""
