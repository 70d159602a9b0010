---Positions of the protocol and of Neovim: both count lines from 0, but columns in different units.
local M = {}

---@param bufnr integer
---@param row integer
---@return string
local function line_at(bufnr, row)
  return vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
end

---The byte column of a position.
---@param bufnr integer
---@param position lsp.Position
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return integer
function M.byte_column(bufnr, position, encoding)
  return vim.str_byteindex(line_at(bufnr, position.line), encoding, position.character, false)
end

---The position of a byte column.
---@param bufnr integer
---@param row integer
---@param column integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
function M.position(bufnr, row, column, encoding)
  local line = line_at(bufnr, row)
  return { line = row, character = vim.str_utfindex(line, encoding, math.min(column, #line), false) }
end

---Row and byte column of the cursor, both from 0.
---@return integer row
---@return integer column
function M.cursor()
  local at = vim.api.nvim_win_get_cursor(0)
  return at[1] - 1, at[2]
end

return M
