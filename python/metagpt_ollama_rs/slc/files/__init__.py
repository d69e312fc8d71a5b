"""What `BatchFileTool` works with: files below one folder, their texts, diffs and journal, and what git ignores."""
