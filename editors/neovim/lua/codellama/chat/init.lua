---The chat: asking, and what can be done with the conversation on the screen.
local along = require('codellama.chat.along')
local answering = require('codellama.chat.answering')
local apply = require('codellama.chat.apply')
local notify = require('codellama.notify')
local turns = require('codellama.chat.turns')
local view = require('codellama.chat.view')

local M = {}

---@class codellama.Attached Lines to send with a question.
---@field bufnr integer
---@field first integer from 1
---@field last integer

---@class codellama.Edit An earlier question that is being changed.
---@field turn codellama.Turn
---@field draft string[] What stood in the lines to write in.

local selection ---@type codellama.Selection?
local edit ---@type codellama.Edit?
local waiting ---@type codellama.Attached? goes with the next question

M.is_answering = answering.is_running
M.on_progress = answering.on_progress
M.gone = answering.gone
M.told = answering.told
M.stop = answering.stop

---@return string? id of the conversation on the screen
function M.conversation()
  return answering.conversation
end

---@return boolean
local function is_busy()
  if answering.is_running() then
    notify.warn('the last question is still being answered; <C-c> in the chat stops it.')
  end
  return answering.is_running()
end

---The language at hand.
---@param attached? codellama.Attached
---@return string?
local function language(attached)
  local source = view.source()
  local bufnr = attached and attached.bufnr
    or vim.api.nvim_win_is_valid(source) and vim.api.nvim_win_get_buf(source)
    or nil
  return bufnr and vim.bo[bufnr].filetype or nil
end

---Ask a question.
---@param message string
---@param attached? codellama.Attached
---@param replaced? codellama.Turn the earlier question that it replaces, with all that followed
function M.ask(message, attached, replaced)
  local client = require('codellama.client').need()
  if is_busy() or vim.trim(message) == '' or not client then
    return
  end
  local params = { message = message, languageId = language(attached) }
  local with = {} ---@type string[]
  view.open()
  if replaced then
    params.editTurn = replaced.position
    with = replaced.attached or {} -- the server keeps it where nothing else is sent
    turns.drop(replaced)
  else
    params.attachments, with = along.attachments(client)
    along.clear()
  end
  if attached then
    selection = apply.remember(attached.bufnr, attached.first, attached.last)
    local start = { line = attached.first - 1, character = 0 }
    local range = { start = start, ['end'] = { line = attached.last, character = 0 } }
    local selected = { uri = vim.uri_from_bufnr(attached.bufnr), range = range, kind = 'selection' }
    along.clear()
    params.attachments = { selected } -- these lines are meant, and nothing goes along by itself
    local name = vim.fs.basename(vim.api.nvim_buf_get_name(attached.bufnr))
    with = { turns.attached(name, attached.first, attached.last) }
  end
  turns.question(message, with)
  answering.begin(params)
end

---Show the chat; with a question, ask it.
---@param options? {question?: string, first?: integer, last?: integer} lines of the current buffer to send with it
function M.open(options)
  options = options or {}
  local attached ---@type codellama.Attached?
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
    waiting = attached
    local name = attached and vim.fs.basename(vim.api.nvim_buf_get_name(attached.bufnr))
    along.choose(attached and turns.attached(name or '', attached.first, attached.last))
    view.write(true)
  end
end

---Ask what the user has written.
function M.send_input()
  local text = table.concat(view.written(), '\n')
  if vim.trim(text) == '' or is_busy() then
    return
  end
  local attached, replaced = waiting, edit and edit.turn
  if attached and not vim.api.nvim_buf_is_valid(attached.bufnr) then
    attached = nil
  end
  waiting, edit = nil, nil
  vim.cmd.stopinsert()
  view.set_written({})
  view.writing_bar(nil)
  M.ask(text, attached, replaced)
end

---Let the user change the question at the cursor of the conversation, and ask it again.
function M.edit()
  local turn = turns.question_at(vim.api.nvim_win_get_cursor(0)[1])
  if is_busy() then
    return
  elseif not turn then
    return notify.say('there is no question here.')
  end
  local draft = edit and edit.draft or view.written()
  view.set_written(vim.split(turn.text or '', '\n', { plain = true }))
  if turn.position then -- else the server does not have it, and it is asked as a new one
    edit = { turn = turn, draft = draft }
    view.writing_bar('An earlier question: <C-s> asks it anew, dropping what followed; <C-c> leaves it')
  end
  view.write(true)
end

---Leave an earlier question as it was.
---@return boolean left whether one was being changed
function M.leave_edit()
  if not edit then
    return false
  end
  view.set_written(edit.draft)
  view.writing_bar(nil)
  edit = nil
  return true
end

---Answer the last question again.
function M.regenerate()
  local last = turns.last()
  if is_busy() then
    return
  elseif not last or not last.position or not answering.conversation then
    return notify.say('there is no answer to write again.')
  end
  if last.role == 'assistant' then
    turns.drop(last)
  end
  answering.begin({ message = '', regenerate = true })
end

---Leave the conversation on the screen.
---@param id? string the one to go on with; nil: a new one
function M.go_to(id)
  answering.go_to(id)
  selection, waiting = nil, nil
  along.clear()
  M.leave_edit()
  turns.clear()
end

---Begin a new conversation.
function M.new()
  M.go_to(nil)
  view.write(true)
end

---Put code in place of the lines that were asked about, else where the user says.
---@param block codellama.Block
function M.apply(block)
  apply.apply(block, selection, view.source())
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
