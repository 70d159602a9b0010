---A change that is shown in its buffer, line by line, until the user accepts or discards it. The buffer stays as it is
---until then: old lines are marked, new ones are drawn below them.
local notify = require('codellama.notify')

local M = {}

local namespace = vim.api.nvim_create_namespace('codellama.review')

---@class codellama.Shown A hunk on the screen.
---@field hunk codellama.Hunk
---@field mark integer The extmark at its first line, which moves with the text.
---@field above? string The line at the mark, of a hunk without old lines; nil behind the last.

---@class codellama.Change What is shown.
---@field title string
---@field hunks codellama.Hunk[]
---@field note string What stands behind the title: how far it is, or the keys.
---@field problem? string Why the user should look closely.
---@field row integer Where the title stands while there are no hunks, from 0.

---@class codellama.Review
---@field change codellama.Change
---@field shown codellama.Shown[]

local reviews = {} ---@type table<integer, codellama.Review> by buffer

---@param line string
---@param group string
---@return [string, string][] chunks that reach to the end of the window
local function whole_line(line, group)
  local text = line:gsub('\t', (' '):rep(vim.bo.tabstop))
  return { { text .. (' '):rep(math.max(0, vim.o.columns - vim.fn.strdisplaywidth(text))), group } }
end

---Draw lines above a row. Above the first one they are seen only where the window is scrolled there.
---@param bufnr integer
---@param row integer
---@param lines [string, string][][]
local function draw_above(bufnr, row, lines)
  local last = vim.api.nvim_buf_line_count(bufnr) - 1
  local above = row <= last
  vim.api.nvim_buf_set_extmark(bufnr, namespace, math.min(row, last), 0, { virt_lines = lines, virt_lines_above = above })
  for _, window in ipairs(row == 0 and vim.fn.win_findbuf(bufnr) or {}) do
    vim.api.nvim_win_call(window, function()
      if vim.fn.line('w0') == 1 then
        vim.fn.winrestview({ topfill = #lines })
      end
    end)
  end
end

---@param change codellama.Change
---@return [string, string][][]
local function heading(change)
  local title = { { 'Code Llama: ' .. change.title, 'CodeLlamaTitle' }, { '  ' .. change.note, 'CodeLlamaNote' } }
  local lines = { title } ---@type [string, string][][]
  if change.problem and change.problem ~= '' then
    lines[2] = { { 'Look closely before you accept it. ' .. change.problem, 'CodeLlamaProblem' } }
  end
  return lines
end

---@param bufnr integer
---@param hunk codellama.Hunk
---@param above [string, string][][]
---@return codellama.Shown
local function draw(bufnr, hunk, above)
  for row = hunk.first, hunk.first + #hunk.old - 1 do
    vim.api.nvim_buf_set_extmark(bufnr, namespace, row, 0, { line_hl_group = 'CodeLlamaOld', priority = 200 })
  end
  local new = vim.tbl_map(function(line)
    return whole_line(line, 'CodeLlamaNew')
  end, hunk.new)
  if #hunk.old > 0 and #new > 0 then
    vim.api.nvim_buf_set_extmark(bufnr, namespace, hunk.first + #hunk.old - 1, 0, { virt_lines = new })
  elseif #new > 0 then
    vim.list_extend(above, new)
  end
  if #above > 0 then
    draw_above(bufnr, hunk.first, above)
  end
  local line = vim.api.nvim_buf_get_lines(bufnr, hunk.first, hunk.first + 1, false)[1]
  local row = math.min(hunk.first, vim.api.nvim_buf_line_count(bufnr) - 1)
  return { hunk = hunk, mark = vim.api.nvim_buf_set_extmark(bufnr, namespace, row, 0, {}), above = line }
end

---Show a change in its buffer, in place of what was shown there.
---@param bufnr integer
---@param change codellama.Change
function M.show(bufnr, change)
  vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  local above, shown = heading(change), {}
  for _, hunk in ipairs(change.hunks) do
    shown[#shown + 1] = draw(bufnr, hunk, above)
    above = {}
  end
  if #above > 0 then
    draw_above(bufnr, change.row, above)
  end
  reviews[bufnr] = { change = change, shown = shown }
end

---Take a change off the screen.
---@param bufnr integer
function M.close(bufnr)
  reviews[bufnr] = nil
  if vim.api.nvim_buf_is_loaded(bufnr) then
    vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  end
  require('codellama.edits.keys').give_back(bufnr)
end

---@param bufnr integer
---@return boolean
function M.is_open(bufnr)
  return reviews[bufnr] ~= nil
end

---Where a hunk is now.
---@param bufnr integer
---@param shown codellama.Shown
---@return integer? row nil where its lines are not what they were
local function place(bufnr, shown)
  local row = vim.api.nvim_buf_get_extmark_by_id(bufnr, namespace, shown.mark, {})[1]
  local old = shown.hunk.old
  if not row then
    return nil
  elseif #old == 0 then
    row = shown.above and row or vim.api.nvim_buf_line_count(bufnr)
    return vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] == shown.above and row or nil
  end
  return vim.deep_equal(vim.api.nvim_buf_get_lines(bufnr, row, row + #old, false), old) and row or nil
end

---@param bufnr integer
---@param at integer row
---@return integer? index of the hunk at a row, or the next one below, or the last
local function hunk_at(bufnr, at)
  local shown = reviews[bufnr].shown
  for index, each in ipairs(shown) do
    local row = place(bufnr, each)
    if row and at <= row + math.max(#each.hunk.old - 1, 0) then
      return index
    end
  end
  return #shown > 0 and #shown or nil
end

---The hunks that are decided on: that at the cursor, or all.
---@param bufnr integer
---@param all boolean
---@return codellama.Shown[] taken
---@return codellama.Shown[] left
local function chosen(bufnr, all)
  local shown = reviews[bufnr].shown
  local index = not all and hunk_at(bufnr, vim.api.nvim_win_get_cursor(0)[1] - 1) or nil
  if not index then
    return shown, {}
  end
  local left = vim.list_slice(shown, 1, index - 1)
  return { shown[index] }, vim.list_extend(left, vim.list_slice(shown, index + 1))
end

---Show the hunks that are left.
---@param bufnr integer
---@param left codellama.Shown[]
local function go_on(bufnr, left)
  local change, hunks = reviews[bufnr].change, {}
  for _, each in ipairs(left) do
    local row = place(bufnr, each)
    if row then
      hunks[#hunks + 1] = { first = row, old = each.hunk.old, new = each.hunk.new }
    end
  end
  if #hunks == 0 then
    return M.close(bufnr)
  end
  change.hunks = hunks
  M.show(bufnr, change)
end

---Why nothing can be decided on in the current buffer, told to the user.
---@param bufnr integer
---@return boolean
local function is_ready(bufnr)
  if not reviews[bufnr] then
    notify.say('no change is shown here.')
  elseif require('codellama.edits.work').of(bufnr) then
    notify.say('the model is still writing; <Esc> or :CodeLlama stop ends it.')
  else
    return true
  end
  return false
end

---Make the change at the cursor, or all of it, in the current buffer: one step of undo.
---@param all boolean
function M.accept(all)
  local bufnr = vim.api.nvim_get_current_buf()
  if not is_ready(bufnr) then
    return
  end
  local fixed = require('codellama.shield').why_fixed(bufnr)
  if fixed then
    return notify.warn(fixed)
  end
  local taken, left = chosen(bufnr, all)
  local lost = 0
  for index = #taken, 1, -1 do -- from below, so that the rows above stay
    local row, hunk = place(bufnr, taken[index]), taken[index].hunk
    if row then
      vim.api.nvim_buf_set_lines(bufnr, row, row + #hunk.old, false, hunk.new)
    else
      lost = lost + 1
    end
  end
  if lost > 0 then
    notify.warn(('you changed the same lines meanwhile: %d of %d hunks were left out.'):format(lost, #taken))
  end
  go_on(bufnr, left)
end

---Leave the text at the cursor as it is, or all of it.
---@param all boolean
function M.discard(all)
  local bufnr = vim.api.nvim_get_current_buf()
  if is_ready(bufnr) then
    local _, left = chosen(bufnr, all)
    go_on(bufnr, left)
  end
end

---Put the cursor on the next or the previous hunk.
---@param forward boolean
function M.jump(forward)
  local bufnr = vim.api.nvim_get_current_buf()
  local at = vim.api.nvim_win_get_cursor(0)[1] - 1
  local target ---@type integer?
  for _, each in ipairs((reviews[bufnr] or { shown = {} }).shown) do
    local row = place(bufnr, each)
    if row and forward and row > at then
      target = target or row
    elseif row and not forward and row < at then
      target = row
    end
  end
  if target then
    local last = vim.api.nvim_buf_line_count(bufnr)
    vim.api.nvim_win_set_cursor(0, { math.min(target + 1, last), 0 })
  end
end

return M
