"""What an adapter's matrices say, from its files alone: numpy, no torch, no model run."""
