//! HTTP for Ollama
