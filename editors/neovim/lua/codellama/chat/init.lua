---The chat: asking, and what can be done with the conversation on the screen.
local answering = require('codellama.chat.answering')
local apply = require('codellama.chat.apply')
local notify = require('codellama.notify')
local view = require('codellama.chat.view')

local M = {}

local selection ---@type codellama.Selection?

M.is_answering = answering.is_running
M.on_progress = answering.on_progress
M.gone = answering.gone
M.told = answering.told
M.stop = answering.stop

---@return string? id of the conversation on the screen
function M.conversation()
  return answering.conversation
end

---Ask a question.
---@param message string
---@param attached? {bufnr: integer, first: integer, last: integer} lines to send with it, from 1
function M.ask(message, attached)
  if answering.is_running() then
    return notify.warn('the last question is still being answered; <C-c> in the chat stops it.')
  elseif vim.trim(message) == '' or not require('codellama.client').need() then
    return
  end
  local source = view.source()
  local bufnr = attached and attached.bufnr
    or vim.api.nvim_win_is_valid(source) and vim.api.nvim_win_get_buf(source)
    or nil
  local params = { message = message, languageId = bufnr and vim.bo[bufnr].filetype or nil }
  view.open()
  view.turn('You')
  view.append(message)
  view.end_turn()
  if attached then
    selection = apply.remember(attached.bufnr, attached.first, attached.last)
    local uri = vim.uri_from_bufnr(attached.bufnr)
    local start = { line = attached.first - 1, character = 0 }
    local range = { start = start, ['end'] = { line = attached.last, character = 0 } }
    params.attachments = { { uri = uri, range = range, kind = 'selection' } }
    local name = vim.fs.basename(vim.api.nvim_buf_get_name(attached.bufnr))
    view.append(('\n\n> with %s, lines %d to %d'):format(name, attached.first, attached.last))
  end
  answering.begin(params)
end

---Show the chat; with a question, ask it.
---@param options? {question?: string, first?: integer, last?: integer} lines of the current buffer to send with it
function M.open(options)
  options = options or {}
  local attached ---@type {bufnr: integer, first: integer, last: integer}?
  if options.first and options.last and not vim.b.codellama_chat then
    attached = { bufnr = vim.api.nvim_get_current_buf(), first = options.first, last = options.last }
  end
  if not require('codellama.client').need() then
    return
  end
  view.open()
  if options.question and options.question ~= '' then
    M.ask(options.question, attached)
  else
    M.attached = attached
    view.write(true)
  end
end

---Ask what the user has written.
function M.send_input()
  local input = view.input()
  if not input then
    return
  end
  local text = table.concat(vim.api.nvim_buf_get_lines(input, 0, -1, false), '\n')
  if vim.trim(text) == '' then
    return
  elseif answering.is_running() then
    return notify.warn('the last question is still being answered; <C-c> stops it.')
  end
  vim.cmd.stopinsert()
  vim.api.nvim_buf_set_lines(input, 0, -1, false, {})
  local attached = M.attached
  M.attached = nil
  M.ask(text, attached and vim.api.nvim_buf_is_valid(attached.bufnr) and attached or nil)
end

---Answer the last question again.
function M.regenerate()
  if answering.is_running() or not answering.conversation or #view.turn_lines() == 0 then
    return notify.say('there is no answer to write again.')
  end
  view.drop_turn()
  answering.begin({ message = '', regenerate = true })
end

---Begin a new conversation.
function M.new()
  M.stop()
  answering.conversation, selection, M.attached = nil, nil, nil
  view.clear()
  view.write(true)
end

---Go on with an older conversation.
---@param id string
function M.resume(id)
  M.stop()
  answering.conversation, selection = id, nil
end

---Put code in place of the lines that were asked about, else at the cursor.
---@param code string[]
function M.apply(code)
  apply.apply(code, selection, view.source())
end

function M.close()
  view.close()
end

function M.history()
  require('codellama.chat.history').choose()
end

function M.delete()
  require('codellama.chat.history').delete()
end

return M
