"""`python -m lsp_server`, for where the command is not on the path."""

from lsp_server.cli import main

raise SystemExit(main())
