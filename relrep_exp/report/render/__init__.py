"""Tables as text: terminal, Markdown, LaTeX, CSV, HTML."""
