"""Orders on a live market: who fills them, what is refused, and what is written down of it."""
