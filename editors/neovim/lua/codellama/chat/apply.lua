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

---Put code in place of the lines that were asked about.
---@param code string[]
---@param selection codellama.Selection
local function replace(code, selection)
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

---Languages that are near enough to each other to be put into one file.
local FAMILIES = {
  typescript = 'script',
  typescriptreact = 'script',
  javascript = 'script',
  javascriptreact = 'script',
  c = 'c',
  cpp = 'c',
  bash = 'sh',
  zsh = 'sh',
}

---Whether code may be in the language of a buffer; what names no language may be in any.
---@param language string what stands behind the fence
---@param bufnr integer
---@return boolean
local function fits(language, bufnr)
  local known = vim.filetype.match({ filename = 'a.' .. language:lower() }) or language:lower()
  local here = vim.bo[bufnr].filetype
  return language == '' or here == '' or (FAMILIES[known] or known) == (FAMILIES[here] or here)
end

---Put code into a buffer of its own.
---@param code string[]
---@param language string
local function create(code, language)
  vim.cmd.new()
  vim.bo.filetype = vim.filetype.match({ filename = 'a.' .. language:lower() }) or language:lower()
  vim.api.nvim_buf_set_lines(0, 0, -1, false, code)
end

---Put code in place of the lines that were asked about. Where there are none, or the code is in another language than
---they are, the user is asked where it goes.
---@param block codellama.Block
---@param selection? codellama.Selection
---@param window integer
function M.apply(block, selection, window)
  local is_there = vim.api.nvim_win_is_valid(window)
  local bufnr = selection and selection.bufnr or is_there and vim.api.nvim_win_get_buf(window) or nil
  local fitting = bufnr ~= nil and vim.api.nvim_buf_is_loaded(bufnr) and fits(block.language, bufnr)
  if selection and fitting then
    return replace(block.code, selection)
  end
  local choices = {} ---@type {label: string, does: fun()}[]
  if is_there then
    local here, row = vim.api.nvim_win_get_buf(window), vim.api.nvim_win_get_cursor(window)[1]
    choices[1] = {
      label = ('at line %d of %s (%s)'):format(row, name_of(here), vim.bo[here].filetype),
      does = function()
        M.insert(block.code, window)
      end,
    }
  end
  table.insert(choices, fitting and #choices + 1 or 1, {
    label = block.language == '' and 'a new buffer' or ('a new buffer (%s)'):format(block.language),
    does = function()
      create(block.code, block.language)
    end,
  })
  vim.ui.select(choices, {
    prompt = ('Where does the %scode go?'):format(block.language == '' and '' or block.language .. ' '),
    format_item = function(choice)
      return choice.label
    end,
  }, function(choice)
    if choice then
      choice.does()
    end
  end)
end

return M
