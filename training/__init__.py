"""How the starter model is taught to infill; see README.md."""
