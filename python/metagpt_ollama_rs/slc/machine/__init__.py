"""What `EnvManagerTool` works with: the Pythons, packages, hardware and Ollama of this machine."""
