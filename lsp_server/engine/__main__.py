"""`python -m lsp_server.engine`: what the language server starts."""

from lsp_server.engine.process import main

raise SystemExit(main())
