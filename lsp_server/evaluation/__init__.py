"""How good suggestions are on real code: holes in it are asked for as an editor asks, and the answers are scored."""
