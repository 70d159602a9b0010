---Taking a suggestion, or the next part of it, into the buffer.
local notify = require('codellama.notify')
local positions = require('codellama.positions')

local M = {}

---@alias codellama.Pick fun(rest: string): string

---@class codellama.Suggestion
---@field row integer
---@field column integer Byte column at which `text` begins, before what the user has typed of it.
---@field text string
---@field command? lsp.Command To be run once all of it is taken.

---@param rest string
---@return string
function M.whole(rest)
  return rest
end

---The next word with the white space before it, or else one run of signs.
---@param rest string
---@return string
function M.word(rest)
  return rest:match('^%s*[%w_\128-\255]+') or rest:match('^%s*[^%w_%s\128-\255]+') or rest
end

---To the end of the line; at the end of one, the next line.
---@param rest string
---@return string
function M.line(rest)
  return rest:match('^\n*[^\n]*') or rest
end

---What the user has not typed of a suggestion.
---@param bufnr integer
---@param suggestion codellama.Suggestion
---@return string? rest nil where it does not go on at the cursor
function M.rest(bufnr, suggestion)
  local row, column = positions.cursor()
  if row ~= suggestion.row or column < suggestion.column then
    return nil
  end
  local line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  local typed = line:sub(suggestion.column + 1, column)
  if suggestion.text:sub(1, #typed) ~= typed then
    return nil
  end
  return suggestion.text:sub(#typed + 1)
end

---Insert a part of a suggestion at the cursor, as one step of undo.
---@param bufnr integer the current buffer
---@param suggestion codellama.Suggestion
---@param pick codellama.Pick
---@return string? left what is left of it; nil where nothing was inserted
function M.insert(bufnr, suggestion, pick)
  local rest = M.rest(bufnr, suggestion)
  if not rest or rest == '' then
    return nil
  end
  local fixed = require('codellama.shield').why_fixed(bufnr)
  if fixed then
    notify.warn(fixed)
    return nil
  end
  local piece = pick(rest)
  local row, column = positions.cursor()
  local lines = vim.split(piece, '\n', { plain = true })
  vim.bo[bufnr].undolevels = vim.bo[bufnr].undolevels -- ends the step of undo that typing began
  vim.api.nvim_buf_set_text(bufnr, row, column, row, column, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines, (#lines == 1 and column or 0) + #lines[#lines] })
  return rest:sub(#piece + 1)
end

return M
