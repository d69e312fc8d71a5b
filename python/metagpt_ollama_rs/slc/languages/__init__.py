"""What `MultiLanguageTool` works with: which language code is in, and where its comments are."""
