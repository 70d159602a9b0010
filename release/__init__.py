"""How a release is made: see docs/releasing.md."""
