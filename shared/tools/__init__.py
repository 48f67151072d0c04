"""The types of tools that a model may call: each file here is one, with TYPE and a Settings schema.

`functions(settings, scope, tools)` are what a model is offered of it, `call(function, arguments, scope, tools)` gives
what comes of a call: a text, or any JSON. LayerFailed where a call failed. A tool knows no database, broker or HTTP
client; what it needs from outside it asks of the tools that its layer was handed.
"""
