---:CodeLlama and its sub-commands.
local notify = require('codellama.notify')

local M = {}

---@class codellama.Command
---@field does fun(argument: string, range?: {first: integer, last: integer})
---@field doc string
---@field complete? fun(): string[]

local MODELS = {
  'starter',
  'codellama/CodeLlama-7b-hf',
  'codellama/CodeLlama-7b-Instruct-hf',
  'codellama/CodeLlama-13b-hf',
  'codellama/CodeLlama-13b-Instruct-hf',
  'codellama/CodeLlama-34b-Instruct-hf',
  'codellama/CodeLlama-70b-Instruct-hf',
}

---@param name string
local function model(name)
  local client = require('codellama.client').need()
  if not client then
    return
  end
  local settings = vim.tbl_get(client, 'settings', 'codellama') or {}
  if name == '' then
    local status = require('codellama.status').get() or {}
    return notify.say(('the model is %s.'):format(status.model or settings.model or 'starter'))
  end
  local changed = { codellama = { model = name } }
  for _, each in ipairs(vim.lsp.get_clients({ name = 'codellama' })) do
    each.settings = vim.tbl_deep_extend('force', each.settings or {}, changed)
    each:notify('workspace/didChangeConfiguration', { settings = each.settings })
  end
  vim.lsp.config('codellama', { settings = changed, init_options = changed }) -- merged into what was chosen
  notify.say(('changing to %s; :CodeLlama status says how it goes.'):format(name))
end

---@param argument string
local function restart(argument)
  local client = require('codellama.client').get(vim.api.nvim_get_current_buf())
  if argument == 'server' or not client then
    return require('codellama.restart').restart()
  end
  client:request('workspace/executeCommand', { command = 'codellama.restart' }, function(err)
    if err then
      notify.warn(err.message)
    end
  end)
end

---@param path string
local function open_log(path)
  if vim.fn.filereadable(path) == 0 then
    return notify.say('there is no log yet.')
  end
  vim.cmd.split({ args = { vim.fn.fnameescape(path) } })
  vim.bo.modifiable = false
  vim.cmd.normal({ args = { 'G' }, bang = true })
end

---One of the logs of the server and its engines, or Neovim's own, which has what a server said that did not start.
local function choose_log()
  local logs = { { title = "Neovim's of language servers", uri = vim.uri_from_fname(vim.lsp.log.get_filename()) } }
  local client = require('codellama.client').get(vim.api.nvim_get_current_buf())
  if not client then
    return open_log(vim.uri_to_fname(logs[1].uri))
  end
  client:request('workspace/executeCommand', { command = 'codellama.logs' }, function(err, found)
    if err then
      notify.warn(err.message)
    end
    vim.ui.select(vim.list_extend(found or {}, logs), {
      prompt = 'Log of Code Llama',
      format_item = function(log)
        return log.title
      end,
    }, function(chosen)
      if chosen then
        open_log(vim.uri_to_fname(chosen.uri))
      end
    end)
  end)
end

---@return string[]
local function hunk()
  return { 'hunk' }
end

---@type table<string, codellama.Command>
M.COMMANDS = {
  chat = {
    does = function(argument, range)
      local chat = require('codellama.chat')
      chat.open({ question = argument, first = range and range.first, last = range and range.last })
    end,
    doc = 'open the chat; with words, ask; with a range, about these lines',
  },
  edit = {
    does = function(argument, range)
      require('codellama.edits').edit(argument, range and range.first, range and range.last)
    end,
    doc = 'change what is at the cursor, or the lines of a range, as you say',
  },
  again = {
    does = function(argument)
      require('codellama.edits').again(argument)
    end,
    doc = 'ask for the same change again, or as you say now',
  },
  accept = {
    does = function(argument)
      require('codellama.edits.review').accept(argument ~= 'hunk')
    end,
    doc = 'make the change that is shown; with `hunk`, that at the cursor',
    complete = hunk,
  },
  discard = {
    does = function(argument)
      require('codellama.edits.review').discard(argument ~= 'hunk')
    end,
    doc = 'leave the text as it is; with `hunk`, at the cursor',
    complete = hunk,
  },
  next = {
    does = function()
      require('codellama.next_edit').ask()
    end,
    doc = 'go where the last change leads, or make the edit that is shown there',
  },
  stop = {
    does = function()
      local stopped = require('codellama.chat').stop()
      local actions = require('codellama.actions').stop()
      if not stopped and actions == 0 then
        notify.say('nothing is running.')
      elseif actions > 0 then
        notify.say('stopped.')
      end
    end,
    doc = 'stop the answer or the action that is being worked on',
  },
  history = {
    does = function()
      require('codellama.chat').history()
    end,
    doc = 'choose a conversation of before',
  },
  status = {
    does = function()
      notify.say(require('codellama.status').sentence())
    end,
    doc = 'how the model is doing, and why there was no suggestion',
  },
  model = {
    does = model,
    doc = 'show the model, or change it in this session',
    complete = function()
      return MODELS
    end,
  },
  restart = {
    does = restart,
    doc = 'start the engine anew; with `server`, the language server',
    complete = function()
      return { 'server' }
    end,
  },
  prompt = {
    does = function()
      require('codellama.prompt').show()
    end,
    doc = 'show what the model would be asked here, and what of your other work is in it',
  },
  log = { does = choose_log, doc = 'open the log of the language server, or of an engine' },
  toggle = {
    does = function()
      require('codellama.inline').enable(nil)
    end,
    doc = 'suggestions on or off, everywhere',
  },
  snooze = {
    does = function(argument)
      require('codellama.inline').snooze(tonumber(argument))
      notify.say(require('codellama.status').sentence())
    end,
    doc = 'suggestions off everywhere for 10 minutes, or as many as are named, or on again',
  },
  enable = {
    does = function()
      require('codellama.inline').enable(true, vim.api.nvim_get_current_buf())
    end,
    doc = 'suggestions on in this buffer',
  },
  disable = {
    does = function()
      require('codellama.inline').enable(false, vim.api.nvim_get_current_buf())
    end,
    doc = 'suggestions off in this buffer',
  },
  commit = {
    does = function()
      require('codellama.actions').commit()
    end,
    doc = 'write the commit message for what is staged',
  },
}

for name in pairs(require('codellama.actions').IDS) do
  M.COMMANDS[name] = {
    does = function(_, range)
      require('codellama.actions').run(name, range and range.first, range and range.last)
    end,
    doc = name .. ' what is at the cursor, or the lines of a range',
  }
end

---@param command vim.api.keyset.create_user_command.command_args
function M.run(command)
  local name, argument = command.args:match('^%s*(%S*)%s*(.-)%s*$')
  if name == '' then
    name = 'status'
  end
  local found = M.COMMANDS[name]
  if not found then
    local names = vim.tbl_keys(M.COMMANDS)
    table.sort(names)
    return notify.warn(('there is no sub-command %s; there are %s.'):format(name, table.concat(names, ', ')))
  end
  found.does(argument, command.range > 0 and { first = command.line1, last = command.line2 } or nil)
end

---@param typed string
---@param line string
---@return string[]
function M.complete(typed, line)
  local before = line:sub(1, #line - #typed)
  local name = before:match('CodeLlama!?%s+(%S+)%s')
  local candidates ---@type string[]
  if name then
    local found = M.COMMANDS[name]
    candidates = found and found.complete and found.complete() or {}
  else
    candidates = vim.tbl_keys(M.COMMANDS)
    table.sort(candidates)
  end
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, typed)
  end, candidates)
end

return M
