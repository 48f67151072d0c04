"""What the API and the workers both need; it imports neither."""

__version__ = "0.1.0"
