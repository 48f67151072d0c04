"""Our own API, a blueprint a noun: found by themselves."""
