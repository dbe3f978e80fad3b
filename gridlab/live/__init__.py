"""A live site: one pure step, the loop that runs it by the clock, its journal, and what a person sees of it."""
