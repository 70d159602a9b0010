---The chat on the screen: a split with the conversation, and below it a few lines to write in.
local blocks = require('codellama.chat.blocks')
local windows = require('codellama.chat.windows')

local M = {}

local INPUT_LINES = 5
---Lines longer than this are not highlighted: it would take longer than reading them.
local LONG_LINE = 5000

local namespace = vim.api.nvim_create_namespace('codellama.chat')
---@class codellama.View
---@field log? integer The buffer with the conversation.
---@field input? integer The buffer in which the user writes.
---@field log_window? integer
---@field input_window? integer
---@field source? integer The window that the user came from.
---@field turns integer[] Extmarks at which turns begin.
---@field seen? integer Lines of the conversation when it was last scrolled.
---@field doing? string What stands above it.

local state = { turns = {} } ---@type codellama.View

---@param name string
---@return integer
local function scratch(name)
  local old = vim.fn.bufnr('^' .. name .. '$')
  if old > 0 then
    vim.api.nvim_buf_delete(old, { force = true })
  end
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(bufnr, name)
  vim.bo[bufnr].bufhidden = 'hide'
  vim.bo[bufnr].undofile = false
  return bufnr
end

---@param window? integer
---@param bufnr? integer
---@return boolean
local function shows(window, bufnr)
  return window ~= nil and bufnr ~= nil and vim.api.nvim_win_is_valid(window)
    and vim.api.nvim_win_get_buf(window) == bufnr
end

---@return boolean
function M.is_open()
  return shows(state.log_window, state.log)
end

---@return integer? bufnr of the conversation
function M.log()
  return state.log and vim.api.nvim_buf_is_valid(state.log) and state.log or nil
end

---@return integer? bufnr in which the user writes
function M.input()
  return state.input and vim.api.nvim_buf_is_valid(state.input) and state.input or nil
end

---The window that the user came from, to insert into.
---@return integer
function M.source()
  local window = state.source
  if window and vim.api.nvim_win_is_valid(window) and not vim.b[vim.api.nvim_win_get_buf(window)].codellama_chat then
    return window
  end
  for _, each in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    local bufnr = vim.api.nvim_win_get_buf(each)
    if not vim.b[bufnr].codellama_chat and vim.bo[bufnr].buftype == '' then
      return each
    end
  end
  return -1
end

---Show the chat.
function M.open()
  local current = vim.api.nvim_get_current_win()
  if not vim.b.codellama_chat then
    state.source = current
  end
  local keys = require('codellama.chat.keys')
  if not M.log() then
    state.log, state.turns = scratch('codellama://chat'), {}
    vim.bo[state.log].modifiable = false
    keys.for_log(state.log)
  end
  if not M.input() then
    state.input = scratch('codellama://question')
    keys.for_input(state.input)
  end
  if not M.is_open() then
    state.log_window = windows.split(state.log, false)
    windows.prepare(state.log, state.log_window)
    M.follow(true)
  end
  if not shows(state.input_window, state.input) then
    state.input_window =
      vim.api.nvim_open_win(state.input, false, { split = 'below', win = state.log_window, height = INPUT_LINES })
    windows.prepare(state.input, state.input_window)
    vim.wo[state.input_window].winfixheight = true
  end
  M.bar(state.doing or '')
end

---Put the cursor where the user writes.
---@param insert? boolean
function M.write(insert)
  if not shows(state.input_window, state.input) then
    M.open()
  end
  vim.api.nvim_set_current_win(state.input_window)
  if insert then
    vim.cmd.startinsert({ bang = true })
  end
end

---Take the chat off the screen; nothing of it is lost.
function M.close()
  for _, window in ipairs({ state.input_window or -1, state.log_window or -1 }) do
    if vim.api.nvim_win_is_valid(window) and #vim.api.nvim_list_wins() > 1 then
      vim.api.nvim_win_close(window, true)
    end
  end
end

---What stands above the windows.
---@param doing string
function M.bar(doing)
  state.doing = doing
  local function set(window, text)
    if window and vim.api.nvim_win_is_valid(window) then
      vim.wo[window].winbar = (text:gsub('%%', '%%%%'))
    end
  end
  set(state.log_window, ('Code Llama  %s'):format(doing))
  set(state.input_window, '<C-s> or <Esc><CR> sends   g? keys')
end

---Scroll to the end, where the user has not scrolled away from it.
---@param always? boolean
function M.follow(always)
  if not M.is_open() then
    return
  end
  local count = vim.api.nvim_buf_line_count(state.log)
  for _, window in ipairs(vim.fn.win_findbuf(state.log)) do
    local near = vim.api.nvim_win_get_cursor(window)[1] >= (state.seen or 1)
    if always or near then
      vim.api.nvim_win_set_cursor(window, { count, 0 })
    end
  end
  state.seen = count
end

---Add text to the end of the conversation.
---@param text string
function M.append(text)
  local log = M.log()
  if not log or text == '' then
    return
  end
  local row = vim.api.nvim_buf_line_count(log) - 1
  local line = vim.api.nvim_buf_get_lines(log, row, row + 1, false)[1]
  vim.bo[log].modifiable = true
  local lines = vim.split((text:gsub('\r', '')), '\n', { plain = true })
  vim.api.nvim_buf_set_text(log, row, #line, row, #line, lines)
  vim.bo[log].modifiable = false
  if #line + #text > LONG_LINE and #line + #lines[1] > LONG_LINE then
    pcall(vim.treesitter.stop, log)
    vim.bo[log].syntax = ''
  end
  M.follow()
end

---Begin a turn.
---@param role string
function M.turn(role)
  local log = M.log()
  if not log then
    return
  end
  local count = vim.api.nvim_buf_line_count(log)
  local empty = count == 1 and vim.api.nvim_buf_get_lines(log, 0, 1, false)[1] == ''
  M.append((empty and '' or '\n\n') .. '## ' .. role .. '\n\n')
  local row = vim.api.nvim_buf_line_count(log) - 1
  state.turns[#state.turns + 1] = vim.api.nvim_buf_set_extmark(log, namespace, row, 0, { right_gravity = false })
end

---End the turn: a code block that is still open is closed, so that it does not swallow what follows.
function M.end_turn()
  local log = M.log()
  local mark = log and state.turns[#state.turns]
  if not log or not mark then
    return
  end
  local row = vim.api.nvim_buf_get_extmark_by_id(log, namespace, mark, {})[1] or 0
  local lines = vim.api.nvim_buf_get_lines(log, row, -1, false)
  local fence = blocks.open_fence(lines)
  if fence then
    M.append((lines[#lines] == '' and '' or '\n') .. fence)
  end
end

---Remove the last turn, its heading included.
function M.drop_turn()
  local log, mark = M.log(), table.remove(state.turns)
  if log and mark then
    local row = vim.api.nvim_buf_get_extmark_by_id(log, namespace, mark, {})[1]
    vim.bo[log].modifiable = true
    vim.api.nvim_buf_set_lines(log, math.max(0, row - 4), -1, false, {})
    vim.bo[log].modifiable = false
  end
end

---Forget the conversation on the screen.
function M.clear()
  local log = M.log()
  if log then
    vim.bo[log].modifiable = true
    vim.api.nvim_buf_set_lines(log, 0, -1, false, {})
    vim.bo[log].modifiable = false
    vim.api.nvim_buf_clear_namespace(log, namespace, 0, -1)
    blocks.forget(log)
  end
  state.turns, state.seen = {}, 1
end

---Lines at which turns begin, from 1.
---@return integer[]
function M.turn_lines()
  local log = M.log()
  local found = {} ---@type integer[]
  for _, mark in ipairs(log and state.turns or {}) do
    found[#found + 1] = vim.api.nvim_buf_get_extmark_by_id(log, namespace, mark, {})[1] + 1
  end
  return found
end

return M
