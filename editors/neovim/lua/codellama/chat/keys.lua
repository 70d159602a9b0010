---Keys of the chat's own buffers; no others are touched.
local notify = require('codellama.notify')

local M = {}

---@type string[][] keys, what they do
M.HELP = {
  { 'i, a, o, <CR>', 'write a question' },
  { '<C-c>', 'stop the answer' },
  { 'gf', 'where a question is written: send the whole file along, or not' },
  { 'gc', 'there: send what is around the cursor along, or not' },
  { '/  @', 'there: commands, and names of files' },
  { 'gy', 'yank the code block at the cursor, or the last one above' },
  { 'ga', 'put it in place of the lines you asked about, else where you say' },
  { 'gi', "insert it at the cursor of your file's window" },
  { 'za', 'fold or unfold it' },
  { ']c  [c', 'next and previous code block' },
  { ']]  [[', 'next and previous turn' },
  { 'gr', 'answer again' },
  { 'ge', 'change the question at the cursor and ask again from there' },
  { 'gn', 'new conversation' },
  { 'gh', 'history' },
  { 'gD', 'delete this conversation' },
  { 'q', 'close' },
}

---@param bufnr integer
---@return fun(keys: string[], does: string|function, desc: string, mode?: string|string[])
local function mapper(bufnr)
  return function(keys, does, desc, mode)
    for _, key in ipairs(keys) do
      vim.keymap.set(mode or 'n', key, does, { buffer = bufnr, nowait = true, desc = 'Code Llama: ' .. desc })
    end
  end
end

---@return codellama.Block?
local function block_here()
  local bufnr = vim.api.nvim_get_current_buf()
  local block = require('codellama.chat.blocks').near(bufnr, vim.api.nvim_win_get_cursor(0)[1])
  if not block then
    notify.say('there is no code block here.')
  end
  return block
end

local function yank()
  local block = block_here()
  if block then
    local text = table.concat(block.code, '\n') .. '\n'
    vim.fn.setreg('"', text, 'l')
    pcall(vim.fn.setreg, '+', text, 'l')
    notify.say(('%d lines yanked.'):format(#block.code))
  end
end

local function insert()
  local block = block_here()
  if block then
    require('codellama.chat.apply').insert(block.code, require('codellama.chat.view').source())
  end
end

---@param lines integer[]
---@param forward boolean
local function jump(lines, forward)
  local row = vim.api.nvim_win_get_cursor(0)[1]
  local target ---@type integer?
  for _, line in ipairs(lines) do
    if forward and line > row then
      target = target or line
    elseif not forward and line < row then
      target = line
    end
  end
  if target then
    vim.api.nvim_win_set_cursor(0, { target, 0 })
  end
end

---@param bufnr integer
---@return integer[]
local function block_lines(bufnr)
  return vim.tbl_map(function(block)
    return block.first
  end, require('codellama.chat.blocks').find(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false)))
end

---Show the keys.
function M.help()
  local lines = vim.tbl_map(function(each)
    return ('%-16s%s'):format(each[1], each[2])
  end, M.HELP)
  vim.api.nvim_echo({ { 'Keys of the chat\n', 'Title' }, { table.concat(lines, '\n') } }, false, {})
end

---@param bufnr integer
local function for_reading(bufnr)
  local map = mapper(bufnr)
  map({ 'gy' }, yank, 'yank the code block')
  map({ 'gi' }, insert, 'insert the code block')
  map({ ']c' }, function()
    jump(block_lines(bufnr), true)
  end, 'next code block')
  map({ '[c' }, function()
    jump(block_lines(bufnr), false)
  end, 'previous code block')
end

---Keys where an answer to an action is read.
---@param bufnr integer
function M.for_answer(bufnr)
  for_reading(bufnr)
  mapper(bufnr)({ 'q' }, '<Cmd>close<CR>', 'close')
end

---Keys in the conversation.
---@param bufnr integer
function M.for_log(bufnr)
  local map = mapper(bufnr)
  local function chat(name)
    return function()
      require('codellama.chat')[name]()
    end
  end
  for_reading(bufnr)
  map({ 'i', 'a', 'o', '<CR>' }, function()
    require('codellama.chat.view').write(true)
  end, 'write a question')
  map({ 'ga' }, function()
    local block = block_here()
    if block then
      require('codellama.chat').apply(block)
    end
  end, 'apply the code block')
  map({ '<C-c>' }, chat('stop'), 'stop the answer')
  map({ 'gr' }, chat('regenerate'), 'answer again')
  map({ 'ge' }, chat('edit'), 'change this question')
  map({ 'gn' }, chat('new'), 'new conversation')
  map({ 'gh' }, chat('history'), 'history')
  map({ 'gD' }, chat('delete'), 'delete this conversation')
  map({ 'q' }, chat('close'), 'close')
  map({ 'g?' }, M.help, 'keys')
  local turns = require('codellama.chat.turns')
  map({ ']]' }, function()
    jump(turns.lines(), true)
  end, 'next turn')
  map({ '[[' }, function()
    jump(turns.lines(), false)
  end, 'previous turn')
end

---Keys where a question is written.
---@param bufnr integer
function M.for_input(bufnr)
  local map = mapper(bufnr)
  local function send()
    require('codellama.chat').send_input()
  end
  map({ '<CR>' }, send, 'send')
  map({ '<C-s>' }, send, 'send', { 'n', 'i' })
  map({ '<C-c>' }, function()
    local chat = require('codellama.chat')
    return chat.stop() or chat.leave_edit()
  end, 'stop the answer, or leave the earlier question as it was')
  map({ 'gf' }, function()
    require('codellama.chat.along').toggle_file()
  end, 'send the whole file along, or not')
  map({ 'gc' }, function()
    require('codellama.chat.along').toggle_around()
  end, 'send what is around the cursor along, or not')
  map({ 'gh' }, function()
    require('codellama.chat').history()
  end, 'history')
  map({ 'q' }, function()
    require('codellama.chat').close()
  end, 'close')
  map({ 'g?' }, M.help, 'keys')
  require('codellama.chat.names').attach(bufnr)
end

return M
