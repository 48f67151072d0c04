"""HTTP in, HTTP out; never runs a layer."""
