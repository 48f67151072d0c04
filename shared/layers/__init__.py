"""The layer kinds: each file here is one, with KIND, a Settings schema and run(settings, scope, tools) → Answer.

A kind knows no database, broker or HTTP client; what it needs from outside it asks of the tools it is handed.
Fields declared as `References` may hold `{{references}}`; the definition reads a layer's dependencies from them.
"""
