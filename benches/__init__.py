"""The servers side by side: see README.md."""
