-- What `vim.lsp.enable('codellama')` starts; see :help codellama-lsp.
return require('codellama.client').config()
