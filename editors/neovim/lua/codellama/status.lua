---How the model is doing, as the server tells it; for the statusline and :CodeLlama status.
local M = {}

---@class codellama.OneStatus
---@field kind 'starting'|'loading'|'ready'|'thinking'|'busy'|'off'|'failed'
---@field message? string One sentence.
---@field progress? integer Per cent, while loading.
---@field model? string
---@field device? string

---@class codellama.Status: codellama.OneStatus
---@field chat? codellama.OneStatus The model of chat and code actions, where that is another one.
---@field suggestion? {uri: string, shown: boolean, reason: string, milliseconds?: integer, tokens?: integer} What became of
---the last request; what it cost, where the setting `showCost` is on.

local latest = {} ---@type table<integer, codellama.Status>

---What is shown of the status is another.
function M.refresh()
  vim.api.nvim_exec_autocmds('User', { pattern = 'CodeLlamaStatus', modeline = false })
  vim.cmd.redrawstatus({ bang = true })
end

---@param value any
---@return any value without vim.NIL, which counts as true
local function without_null(value)
  if type(value) ~= 'table' then
    return value
  end
  local kept = {}
  for key, each in pairs(value) do
    if each ~= vim.NIL then
      kept[key] = without_null(each)
    end
  end
  return kept
end

---@param id integer client
---@param params codellama.Status
function M.told(id, params)
  latest[id] = without_null(params)
  require('codellama.chat').told(latest[id])
  M.refresh()
end

---@param id integer client
function M.gone(id)
  latest[id] = nil
  M.refresh()
end

---What the server of a buffer said last.
---@param bufnr? integer default: the current one
---@return codellama.Status? status nil where no server runs or it said nothing yet
function M.get(bufnr)
  local client = require('codellama.client').get(bufnr or vim.api.nvim_get_current_buf())
  return client and latest[client.id]
end

---A few words for the statusline, "" where no server runs for the current buffer.
---@return string
function M.line()
  local bufnr = vim.api.nvim_get_current_buf()
  local client = vim.lsp.get_clients({ name = 'codellama', bufnr = bufnr })[1]
  if not client then
    return ''
  end
  local status = latest[client.id] or {}
  local words = status.kind or 'starting' ---@type string
  if words ~= 'failed' and not require('codellama.inline').is_on(bufnr) then
    local til = require('codellama.inline').snoozes_til()
    words = til and 'off until ' .. til or 'off here'
  elseif words == 'loading' or words == 'starting' then
    words = ((status.message or ''):match('^%a+ing%f[%A]') or words):lower()
    words = status.progress and ('%s %d%%'):format(words, status.progress) or words
  elseif require('codellama.actions').is_running() then
    words = 'writing'
  end
  local suggestion = status.suggestion or {}
  if words == 'ready' and suggestion.milliseconds then
    words = ('ready, %d ms, %d tokens'):format(suggestion.milliseconds, suggestion.tokens or 0)
  end
  return 'Code Llama: ' .. words
end

---@return string sentence
function M.sentence()
  local client = require('codellama.client').get(vim.api.nvim_get_current_buf())
  if not client then
    local server = require('codellama.server')
    if server.is_starting then
      return 'the server is starting.'
    end
    return server.find() and 'no server runs; :CodeLlama restart starts it.' or server.missing()
  end
  local status = latest[client.id]
  local work = require('codellama.edits.work').of(vim.api.nvim_get_current_buf())
  if work then
    return ('%s: %s; :CodeLlama stop ends it.'):format(work.title, work.message)
  end
  local said = status and status.message or 'The model has not been asked for yet.'
  if not require('codellama.inline').is_on(vim.api.nvim_get_current_buf()) then
    local til = require('codellama.inline').snoozes_til()
    said = said .. (til and (' Suggestions are off until %s.'):format(til) or ' Suggestions are off here.')
  elseif status and status.kind == 'ready' and status.suggestion and not status.suggestion.shown and status.suggestion.reason ~= '' then
    said = ('%s Last suggestion: none. %s'):format(said, status.suggestion.reason)
  end
  local chat = status and status.chat
  return chat and ('%s Chat: %s'):format(said, chat.message) or said
end

return M
