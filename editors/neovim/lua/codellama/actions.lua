---Code actions by name, for :CodeLlama. The menu of all of them is |vim.lsp.buf.code_action()|.
local notify = require('codellama.notify')
local positions = require('codellama.positions')

local M = {}

---Sub-command -> the action's ids in the server.
---@type table<string, string[]>
M.IDS = {
  explain = { 'explain-diagnostic', 'explain' },
  fix = { 'fix' },
  doc = { 'document' },
  tests = { 'tests' },
  simplify = { 'simplify' },
  types = { 'types' },
  optimize = { 'optimize' },
  implement = { 'implement', 'comment' },
  translate = { 'translate' },
}

local NOTHING = {
  fix = 'no problem is reported on this line.',
}

-- Neovim shows no progress by itself, and a model may take a while.
local UNDER_WAY = 'working on it; :CodeLlama stop ends it.'

---@param client vim.lsp.Client
---@param bufnr integer
---@param first? integer first line of a range, from 1
---@param last? integer
---@return lsp.Range
function M.range_of(client, bufnr, first, last)
  local encoding = client.offset_encoding
  if first and last then
    local line = vim.api.nvim_buf_get_lines(bufnr, last - 1, last, false)[1] or ''
    return {
      start = positions.position(bufnr, first - 1, 0, encoding),
      ['end'] = positions.position(bufnr, last - 1, #line, encoding),
    }
  end
  local row, column = positions.cursor()
  local here = positions.position(bufnr, row, column, encoding)
  return { start = here, ['end'] = here }
end

---@param action lsp.CodeAction|lsp.Command
---@return string?
local function id_of(action)
  return vim.tbl_get(action, 'data', 'action')
    or vim.tbl_get(action, 'command', 'arguments', 1, 'action')
    or vim.tbl_get(action, 'arguments', 1, 'action')
end

---@param err lsp.ResponseError
local function failed(err)
  if err.code ~= -32800 and err.code ~= -32801 then -- cancelled, or the text changed
    notify.warn(err.message)
  end
end

---@param client vim.lsp.Client
---@param bufnr integer
---@param action lsp.CodeAction
local function perform(client, bufnr, action)
  local params = action.data or vim.tbl_get(action, 'command', 'arguments', 1)
  require('codellama.edits.work').begin(client, bufnr, params, action.title)
end

---Do what a sub-command says in the current buffer.
---@param name string
---@param first? integer first line of a range, from 1
---@param last? integer
function M.run(name, first, last)
  local bufnr = vim.api.nvim_get_current_buf()
  local client = require('codellama.client').need(bufnr)
  if not client then
    return
  end
  local params = {
    textDocument = { uri = vim.uri_from_bufnr(bufnr) },
    range = M.range_of(client, bufnr, first, last),
    context = { diagnostics = {}, triggerKind = 1 },
  }
  client:request('textDocument/codeAction', params, function(err, result)
    if err then
      return failed(err)
    end
    local wanted = M.IDS[name] or {}
    local found = vim.tbl_filter(function(action)
      return vim.list_contains(wanted, id_of(action) or '')
    end, result or {})
    local able = vim.tbl_filter(function(action)
      return type(action.disabled) ~= 'table'
    end, found)
    if #found == 0 then
      return notify.say(NOTHING[name] or 'put the cursor in a function, or select lines.')
    elseif #able == 0 then
      return notify.warn(found[1].disabled.reason)
    elseif #able == 1 then
      return perform(client, bufnr, able[1])
    end
    vim.ui.select(able, {
      prompt = 'Code Llama:',
      kind = 'codeaction',
      format_item = function(action)
        return action.title
      end,
    }, function(action)
      if action then
        perform(client, bufnr, action)
      end
    end)
  end, bufnr)
end

---The commands that the server has not answered yet, such as that for a commit message.
---@return {client: vim.lsp.Client, id: integer}[]
local function commands()
  local found = {} ---@type {client: vim.lsp.Client, id: integer}[]
  for _, client in ipairs(vim.lsp.get_clients({ name = 'codellama' })) do
    for id, request in pairs(client.requests) do
      if request.type == 'pending' and request.method == 'workspace/executeCommand' then
        found[#found + 1] = { client = client, id = id }
      end
    end
  end
  return found
end

---Whether something is being worked on for the user.
---@return boolean
function M.is_running()
  return require('codellama.edits.work').is_running() or #commands() > 0
end

---End what is being worked on for the user.
---@return integer count
function M.stop()
  local count = require('codellama.edits.work').stop()
  for _, each in ipairs(commands()) do
    each.client:cancel_request(each.id)
    count = count + 1
  end
  require('codellama.status').refresh()
  return count
end

---Let the model write the message for what is staged: into a commit's buffer, else into the registers.
function M.commit()
  local bufnr = vim.api.nvim_get_current_buf()
  local client = require('codellama.client').need()
  if not client then
    return
  end
  local folder = vim.bo[bufnr].filetype ~= 'gitcommit' and vim.fs.root(bufnr, '.git') or vim.fn.getcwd()
  notify.say(UNDER_WAY)
  local params = { command = 'codellama.commitMessage', arguments = { vim.uri_from_fname(folder) } }
  client:request('workspace/executeCommand', params, function(err, message)
    require('codellama.status').refresh()
    if err then
      return failed(err)
    elseif type(message) ~= 'string' then
      return -- the server has said why
    end
    local here = vim.api.nvim_buf_is_valid(bufnr) and vim.bo[bufnr].filetype == 'gitcommit'
    if here and vim.api.nvim_buf_get_lines(bufnr, 0, 1, false)[1] == '' then
      vim.api.nvim_buf_set_lines(bufnr, 0, 1, false, vim.split(vim.trim(message), '\n'))
      return
    end
    vim.fn.setreg('"', message)
    pcall(vim.fn.setreg, '+', message)
    notify.say('the commit message is in the register ", ready to be put: ' .. message:match('^[^\n]*'))
  end, bufnr)
  require('codellama.status').refresh()
end

return M
