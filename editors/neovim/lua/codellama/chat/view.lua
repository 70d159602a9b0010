---The chat on the screen: a split with the conversation, and below it a few lines to write in.
local windows = require('codellama.chat.windows')

local M = {}

local INPUT_LINES = 5
---Lines longer than this are not highlighted: it would take longer than reading them.
local LONG_LINE = 5000

---@class codellama.View
---@field log? integer The buffer with the conversation.
---@field input? integer The buffer in which the user writes.
---@field log_window? integer
---@field input_window? integer
---@field source? integer The window that the user came from.
---@field seen? integer Lines of the conversation when it was last scrolled.
---@field doing? string What stands above it.
---@field writing? string What stands above the lines to write in.

---@class codellama.Unloaded What was in a buffer that was taken out of memory.
---@field lines string[]
---@field marks vim.api.keyset.get_extmark_item[] Where turns begin: (id, row, column).

---What stands in a conversation that has not begun.
local EXAMPLES = {
  'Ask about your code; what goes along stands below.',
  '',
  '  /explain    what it does around your cursor',
  '  /fix        what is wrong with it',
  '  /tests      tests for it',
  '  @README.md  names a file',
}
local examples = vim.api.nvim_create_namespace('codellama.chat.examples')

local state = {} ---@type codellama.View
local show_examples ---@type fun()
local unloaded = {} ---@type table<integer, codellama.Unloaded> by buffer
local turns = vim.api.nvim_create_namespace('codellama.chat.turns')

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
  -- `:quit!` takes it out of memory, whatever 'bufhidden' is.
  vim.api.nvim_create_autocmd('BufUnload', {
    buffer = bufnr,
    callback = function()
      local marks = vim.api.nvim_buf_get_extmarks(bufnr, turns, 0, -1, {})
      unloaded[bufnr] = { lines = vim.api.nvim_buf_get_lines(bufnr, 0, -1, false), marks = marks }
    end,
  })
  return bufnr
end

---A buffer of the chat, with all that was in it.
---@param bufnr? integer
---@return integer? bufnr nil where the user has deleted it, and its keys with it
local function there(bufnr)
  if not bufnr or not vim.api.nvim_buf_is_valid(bufnr) then
    return nil
  elseif vim.api.nvim_buf_is_loaded(bufnr) then
    return bufnr
  end
  local was = unloaded[bufnr]
  unloaded[bufnr] = nil
  if not was or not vim.b[bufnr].codellama_chat then
    return nil
  end
  vim.fn.bufload(bufnr)
  local modifiable = vim.bo[bufnr].modifiable
  vim.bo[bufnr].modifiable = true
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, was.lines)
  vim.bo[bufnr].modifiable = modifiable
  for _, mark in ipairs(was.marks) do
    vim.api.nvim_buf_set_extmark(bufnr, turns, mark[2], mark[3], { id = mark[1], right_gravity = false })
  end
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
  return there(state.log)
end

---@return integer? bufnr in which the user writes
function M.input()
  return there(state.input)
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

---Show what stands above the windows.
local function show_bars()
  local function set(window, text)
    if window and vim.api.nvim_win_is_valid(window) then
      vim.wo[window].winbar = text:gsub('%%', '%%%%') .. '%<' -- its end goes where there is no room
    end
  end
  set(state.log_window, ('Code Llama  %s'):format(state.doing or ''))
  set(state.input_window, state.writing or require('codellama.chat.along').bar())
end

---Show the chat.
function M.open()
  local current = vim.api.nvim_get_current_win()
  if not vim.b.codellama_chat then
    state.source = current
  end
  local keys = require('codellama.chat.keys')
  local log, input = M.log(), M.input()
  if not log then
    log = scratch('codellama://chat')
    state.log = log
    vim.bo[log].modifiable = false
    keys.for_log(log)
  end
  if not input then
    input = scratch('codellama://question')
    state.input = input
    keys.for_input(input)
    vim.api.nvim_create_autocmd('BufEnter', {
      buffer = input,
      callback = function()
        require('codellama.chat.along').show()
      end,
    })
  end
  if not M.is_open() then
    state.log_window = windows.split(log, false)
    windows.prepare(log, state.log_window)
    M.follow(true)
    show_examples()
  end
  if not shows(state.input_window, input) then
    local below = { split = 'below', win = state.log_window, height = INPUT_LINES }
    local window = vim.api.nvim_open_win(input, false, below)
    state.input_window = window
    windows.prepare(input, window)
    vim.wo[window].winfixheight = true
  end
  show_bars()
end

---Put the cursor where the user writes.
---@param insert? boolean
function M.write(insert)
  if not shows(state.input_window, state.input) then
    M.open()
  end
  vim.api.nvim_set_current_win(assert(state.input_window))
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

---Say what is going on.
---@param doing string
function M.bar(doing)
  state.doing = doing
  show_bars()
end

---Say what is being written.
---@param writing? string nil: an ordinary question
function M.writing_bar(writing)
  state.writing = writing
  show_bars()
end

---Scroll to the end, where the user has not scrolled away from it.
---@param always? boolean
function M.follow(always)
  local log = M.log()
  if not log or not M.is_open() then
    return
  end
  local count = vim.api.nvim_buf_line_count(log)
  for _, window in ipairs(vim.fn.win_findbuf(log)) do
    local near = vim.api.nvim_win_get_cursor(window)[1] >= (state.seen or 1)
    if always or near then
      vim.api.nvim_win_set_cursor(window, { count, 0 })
    end
  end
  state.seen = count
end

---Show what can be asked, as long as nothing was.
function show_examples()
  local log = M.log()
  if not log then
    return
  end
  vim.api.nvim_buf_clear_namespace(log, examples, 0, -1)
  if M.is_empty() then
    local lines = vim.tbl_map(function(line)
      return { { line, 'Comment' } }
    end, EXAMPLES)
    vim.api.nvim_buf_set_extmark(log, examples, 0, 0, { virt_lines = lines })
  end
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
  if row == 0 then
    show_examples()
  end
  if #line + #text > LONG_LINE and #line + #lines[1] > LONG_LINE then
    pcall(vim.treesitter.stop, log)
    vim.bo[log].syntax = ''
  end
  M.follow()
end

---Remove the end of the conversation.
---@param row integer from 0, the first line to go
function M.cut(row)
  local log = M.log()
  if log then
    vim.bo[log].modifiable = true
    vim.api.nvim_buf_set_lines(log, row, -1, false, {})
    vim.bo[log].modifiable = false
    state.seen = math.min(state.seen or 1, vim.api.nvim_buf_line_count(log))
    show_examples()
  end
end

---@return boolean
function M.is_empty()
  local log = M.log()
  return not log or vim.deep_equal(vim.api.nvim_buf_get_lines(log, 0, -1, false), { '' })
end

---What stands in the lines to write in.
---@return string[]
function M.written()
  local input = M.input()
  return input and vim.api.nvim_buf_get_lines(input, 0, -1, false) or {}
end

---Put something else into the lines to write in; `u` there takes it back.
---@param lines string[]
function M.set_written(lines)
  local input = M.input()
  if input then
    vim.api.nvim_buf_set_lines(input, 0, -1, false, lines)
  end
end

return M
