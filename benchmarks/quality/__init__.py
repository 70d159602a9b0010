"""How good suggestions are: see README.md."""
