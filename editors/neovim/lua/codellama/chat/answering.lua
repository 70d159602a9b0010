---The answer that is being written: what comes of it, and what ends it.
local notify = require('codellama.notify')
local turns = require('codellama.chat.turns')
local view = require('codellama.chat.view')

local M = {}

---Milliseconds between two additions to the screen while an answer comes.
local REDRAW = 30

---@class codellama.Asking
---@field client vim.lsp.Client
---@field token string
---@field request? integer
---@field pieces string[] What came and is not on the screen yet.
---@field reading? string How far the model has read the question.
---@field timer? uv.uv_timer_t

---The conversation on the screen; nil for a new one.
---@type string?
M.conversation = nil

local asking ---@type codellama.Asking?
local latest ---@type string? token of the last answer, also where that was stopped
local count = 0

---@return boolean
function M.is_running()
  return asking ~= nil
end

---Put on the screen what has come.
---@param now codellama.Asking
local function flush(now)
  if #now.pieces > 0 then
    local text = table.concat(now.pieces)
    now.pieces = {}
    view.append(text)
  end
end

---End the answer on the screen, with a note or without.
---@param note? string
local function finish(note)
  local now = asking
  if not now then
    return
  end
  asking = nil
  if now.timer then
    now.timer:stop()
    now.timer:close()
  end
  flush(now)
  turns.finish()
  if note and note ~= '' then
    view.append(('\n\n*%s*'):format(note))
  end
  view.bar('')
end

---A part of an answer.
---@param params {token: string|integer, value: any}
---@return boolean ours
function M.on_progress(params)
  if type(params.token) ~= 'string' or not vim.startswith(params.token, 'codellama-chat-') then
    return false
  end
  local value = params.value
  if params.token == latest and type(value) == 'table' then
    M.conversation = value.conversationId or M.conversation
    if value.turn then
      turns.placed(value.turn)
    end
    if asking and type(value.delta) == 'string' then
      asking.pieces[#asking.pieces + 1] = value.delta
      local reading = type(value.reading) == 'table' and value.reading.message or nil
      if reading or asking.reading then
        asking.reading = reading
        view.bar((reading or 'answering …') .. '  <C-c> stops')
      end
    end
    if type(value.leftOut) == 'table' and #value.leftOut > 0 then
      notify.warn(table.concat(value.leftOut, ' '))
    end
  end
  return true
end

---@param usage any
---@return string
local function cost(usage)
  if type(usage) ~= 'table' then
    return ''
  end
  local tokens, speed = usage.generatedTokens, usage.tokensPerSecond
  if type(tokens) ~= 'number' or tokens == 0 then
    return ''
  end
  return type(speed) == 'number' and ('%s tokens, %.0f a second'):format(tokens, speed) or ('%s tokens'):format(tokens)
end

local ENDINGS = {
  stopped = 'Stopped.',
  length = 'Cut off: the longest answer allowed was reached.',
  repeats = 'Ended: the model began to repeat itself.',
}

---The server told how the model is doing: an answer waits while it is loaded, or takes nothing.
---@param status? codellama.Status
function M.told(status)
  status = status and status.chat or status ---@type codellama.OneStatus?
  if not asking then
    return
  elseif status and vim.list_contains({ 'starting', 'loading', 'busy' }, status.kind) then
    view.bar((status.message or 'The model is loading.') .. '  <C-c> stops')
  else
    view.bar((asking.reading or 'answering …') .. '  <C-c> stops')
  end
end

---Send a question; the answer goes to the end of the conversation on the screen.
---@param params table
function M.begin(params)
  local client = require('codellama.client').need()
  if not client then
    return
  end
  count = count + 1
  local token = ('codellama-chat-%d-%d'):format(vim.uv.os_getpid(), count)
  local now = { client = client, token = token, pieces = {} } ---@type codellama.Asking
  asking, latest = now, token
  params.partialResultToken = token
  params.conversationId = M.conversation
  turns.answer()
  M.told(require('codellama.status').get())
  now.timer = assert(vim.uv.new_timer())
  now.timer:start(REDRAW, REDRAW, vim.schedule_wrap(function()
    if asking == now then
      flush(now)
    end
  end))
  local sent, id = require('codellama.client').ask(client, 'chat/send', params, function(err, result)
    if asking ~= now then
      return -- given up meanwhile
    end
    if err then
      local data = type(err.data) == 'table' and err.data or {}
      M.conversation = data.conversationId or M.conversation
      finish(err.message)
    else
      M.conversation = result.conversationId or M.conversation
      finish(ENDINGS[result.finishReason] or cost(result.usage))
    end
  end)
  if sent then
    now.request = id
  else
    finish('The server is gone.')
  end
end

---End the answer that is being written; what there is of it stays.
---@return boolean stopped
function M.stop()
  local now = asking
  if not now then
    return false
  end
  if M.conversation then
    require('codellama.client').ask(now.client, 'chat/stop', { conversationId = M.conversation }, function() end)
  end
  if now.request then
    now.client:cancel_request(now.request)
  end
  finish('Stopped.') -- a cancelled request never calls its handler
  return true
end

---Go on with another conversation.
---@param id? string nil: a new one
function M.go_to(id)
  M.stop()
  M.conversation, latest = id, nil
end

---A server ended: nothing more will come from it.
---@param id integer client
function M.gone(id)
  if asking and asking.client.id == id then
    finish('The server ended before the answer did; ask again.')
  end
end

return M
