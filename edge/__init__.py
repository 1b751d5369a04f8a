"""The pole: keeps its plan and its media, decides what may sound now, and proves what sounded."""
