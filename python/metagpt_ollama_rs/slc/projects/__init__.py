"""What `CodeUnderstandingTool` works with: the files of a project, their entry points and summaries."""
