"""What the scripted server and the embedded server share: how Ollama writes its bytes (`format`), its paths and names
(`ollama`), and what a request is (`requests`).

Standard library only. Nothing of the client is used here, and the client uses nothing of this, so that each can be
tested against the other.
"""
