"""The operators' commands: a module each group, which has it as `command`."""
