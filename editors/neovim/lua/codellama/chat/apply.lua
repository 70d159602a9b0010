---A code block from the chat into the user's buffer: in place of the lines that were asked about, or at the cursor.
local notify = require('codellama.notify')

local M = {}

local namespace = vim.api.nvim_create_namespace('codellama.chat.selection')

---@class codellama.Selection
---@field bufnr integer
---@field mark integer The extmark over the lines, which moves with them.
---@field lines string[] As they were.

---Remember lines that were attached, wherever they move.
---@param bufnr integer
---@param first integer from 1
---@param last integer
---@return codellama.Selection
function M.remember(bufnr, first, last)
  local lines = vim.api.nvim_buf_get_lines(bufnr, first - 1, last, false)
  local mark = vim.api.nvim_buf_set_extmark(bufnr, namespace, first - 1, 0, {
    end_row = first - 1 + #lines - 1,
    end_col = #(lines[#lines] or ''),
    right_gravity = true, -- lines put right above do not belong to it
    end_right_gravity = false,
  })
  return { bufnr = bufnr, mark = mark, lines = lines }
end

---Where the remembered lines are now.
---@param selection? codellama.Selection
---@return integer? first row, from 0
---@return integer? last row, included; nil where the lines are not what they were
local function place(selection)
  if not selection or not vim.api.nvim_buf_is_loaded(selection.bufnr) then
    return nil
  end
  local mark = vim.api.nvim_buf_get_extmark_by_id(selection.bufnr, namespace, selection.mark, { details = true })
  if not mark[1] then
    return nil
  end
  local first, last = mark[1], (mark[3] or {}).end_row or mark[1]
  local now = vim.api.nvim_buf_get_lines(selection.bufnr, first, last + 1, false)
  if vim.deep_equal(now, selection.lines) then
    return first, last
  end
end

---@param lines string[]
---@return string
local function indent_of(lines)
  local least ---@type string?
  for _, line in ipairs(lines) do
    local space = line:match('^(%s*)%S')
    if space and (not least or #space < #least) then
      least = space
    end
  end
  return least or ''
end

---Code indented as its surroundings are, where it is not indented itself.
---@param code string[]
---@param indent string
---@return string[]
local function indented(code, indent)
  if indent == '' or indent_of(code) ~= '' then
    return code
  end
  return vim.tbl_map(function(line)
    return line == '' and line or indent .. line
  end, code)
end

---@param bufnr integer
---@return string
local function name_of(bufnr)
  local name = vim.fs.basename(vim.api.nvim_buf_get_name(bufnr))
  return name == '' and 'the buffer' or name
end

---@param bufnr integer
---@return boolean
local function writable(bufnr)
  local fixed = require('codellama.shield').why_fixed(bufnr)
  if fixed then
    notify.warn(fixed)
  end
  return fixed == nil
end

---Insert code below the cursor of a window, or in its line where that is blank.
---@param code string[]
---@param window integer
function M.insert(code, window)
  if not vim.api.nvim_win_is_valid(window) then
    return notify.warn('there is no window to insert into; open the file first.')
  end
  local bufnr = vim.api.nvim_win_get_buf(window)
  if not writable(bufnr) then
    return
  end
  local row = vim.api.nvim_win_get_cursor(window)[1]
  local line = vim.api.nvim_buf_get_lines(bufnr, row - 1, row, false)[1] or ''
  local start = line:find('%S') and row or row - 1
  local text = indented(code, line:match('^%s*') or '')
  vim.api.nvim_buf_set_lines(bufnr, start, row, false, text)
  vim.api.nvim_win_set_cursor(window, { start + #text, 0 })
  notify.say(('inserted %d lines into %s; u there takes them back.'):format(#text, name_of(bufnr)))
end

---Put code in place of the lines that were asked about; without such lines, insert it.
---@param code string[]
---@param selection? codellama.Selection
---@param window integer
function M.apply(code, selection, window)
  if not selection then
    return M.insert(code, window)
  end
  local first, last = place(selection)
  if not first or not last then
    return notify.warn('the lines that you asked about have changed or are gone; gi inserts at the cursor instead.')
  end
  if not writable(selection.bufnr) then
    return
  end
  local text = indented(code, indent_of(selection.lines))
  vim.api.nvim_buf_set_lines(selection.bufnr, first, last + 1, false, text)
  local said = 'replaced lines %d to %d of %s; u there takes it back.'
  notify.say(said:format(first + 1, last + 1, name_of(selection.bufnr)))
  selection.lines = text
  vim.api.nvim_buf_set_extmark(selection.bufnr, namespace, first, 0, {
    id = selection.mark,
    end_row = first + #text - 1,
    end_col = #text[#text],
    right_gravity = true, -- lines put right above do not belong to it
    end_right_gravity = false,
  })
end

return M
