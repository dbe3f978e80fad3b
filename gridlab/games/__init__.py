"""Games: equilibria of players who look after themselves, and what players gain together."""
