"""What the control plane promises about calls, tried against simulated misfortune."""
