"""What runs: the command line and the demo. Nothing below imports this floor."""
