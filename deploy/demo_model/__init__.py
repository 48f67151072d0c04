"""An OpenAI-compatible model for demos, tests and load: scripted, slow or failing on request, a witness of every call.

It needs the standard library only, so that nothing it shares with the code under test can hide a fault in both.
"""
