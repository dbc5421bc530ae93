"""What the shipped controller is compared with: the policy alone, PICNNs of one move."""
