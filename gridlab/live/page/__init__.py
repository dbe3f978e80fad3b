"""What a person sees of a live site: figures, words and controls, and Voila serving them as a page."""

from gridlab.live.page.serving import serve_page, serving, voila_command, voila_environment

__all__ = ["serve_page", "serving", "voila_command", "voila_environment"]
