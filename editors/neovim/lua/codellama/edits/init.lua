---Edits in the user's own words.
local notify = require('codellama.notify')
local work = require('codellama.edits.work')

local M = {}

local latest = '' -- what was said last, to begin with

---@param client vim.lsp.Client
---@param bufnr integer
---@param range lsp.Range
---@param instruction string
local function edit(client, bufnr, range, instruction)
  latest = instruction
  local uri = vim.uri_from_bufnr(bufnr)
  local params = { action = 'edit', uri = uri, range = range, instruction = instruction }
  work.begin(client, bufnr, params, instruction)
end

---@param default string
---@param go_on fun(instruction: string)
local function ask(default, go_on)
  vim.ui.input({ prompt = 'Code Llama, what is to be changed? ', default = default }, function(given)
    if given and vim.trim(given) ~= '' then
      go_on(vim.trim(given))
    end
  end)
end

---Change a range, or what is at the cursor, as the user says.
---@param instruction string "": the user is asked
---@param first? integer first line of a range, from 1
---@param last? integer
function M.edit(instruction, first, last)
  local bufnr = vim.api.nvim_get_current_buf()
  local client = require('codellama.client').need(bufnr)
  if not client then
    return
  end
  local range = require('codellama.actions').range_of(client, bufnr, first, last)
  if instruction ~= '' then
    return edit(client, bufnr, range, instruction)
  end
  ask(latest, function(given)
    edit(client, bufnr, range, given)
  end)
end

---Ask again for what was asked last in this buffer; in the user's own words, with others.
---@param instruction? string
function M.again(instruction)
  local bufnr = vim.api.nvim_get_current_buf()
  local params, title = work.last(bufnr)
  local client = params and require('codellama.client').need(bufnr)
  if not params then
    return notify.say('nothing was asked for here yet.')
  elseif not client then
    return
  end
  if params.action ~= 'edit' then
    return work.begin(client, bufnr, params, title)
  elseif instruction and instruction ~= '' then
    return edit(client, bufnr, params.range, instruction)
  end
  ask(params.instruction, function(given)
    edit(client, bufnr, params.range, given)
  end)
end

return M
