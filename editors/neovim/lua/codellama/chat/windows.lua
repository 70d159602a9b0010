---Windows for Markdown that is read beside the user's file.
local config = require('codellama.config')

local M = {}

---Open a buffer in a split of the chosen place and size.
---@param bufnr integer
---@param enter boolean
---@return integer window
function M.split(bufnr, enter)
  local chat = config.options.chat
  local upright = chat.position == 'right' or chat.position == 'left'
  local room = upright and vim.o.columns or vim.o.lines
  local size = math.max(10, math.min(chat.size, math.floor(room / 2)))
  return vim.api.nvim_open_win(bufnr, enter, {
    split = chat.position,
    win = -1,
    width = upright and size or nil,
    height = not upright and size or nil,
  })
end

---Make a buffer with Markdown comfortable to read in a window.
---@param bufnr integer
---@param window integer
function M.prepare(bufnr, window)
  vim.b[bufnr].codellama_chat = true
  vim.bo[bufnr].filetype = 'markdown'
  vim.bo[bufnr].synmaxcol = 500
  vim.bo[bufnr].textwidth = 0
  -- Code blocks in the colours of their language, where there is a parser.
  pcall(vim.treesitter.start, bufnr, 'markdown')
  local options = {
    wrap = true,
    linebreak = true,
    number = false,
    relativenumber = false,
    signcolumn = 'no',
    spell = false,
    foldmethod = 'expr',
    foldexpr = "v:lua.require'codellama.chat.blocks'.fold()",
    foldtext = "v:lua.require'codellama.chat.blocks'.fold_text()",
    foldlevel = 99,
    conceallevel = 0,
    fillchars = vim.o.fillchars .. (vim.o.fillchars == '' and '' or ',') .. 'eob: ',
  }
  for name, value in pairs(options) do
    vim.api.nvim_set_option_value(name, value, { scope = 'local', win = window })
  end
end

return M
