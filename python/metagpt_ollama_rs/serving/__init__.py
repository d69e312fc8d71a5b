"""What the scripted server and the embedded server share: Ollama's bytes (`format`) and what a request is (`requests`).
Standard library only; nothing of the client is used here, nor the other way round."""
