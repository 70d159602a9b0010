---Keys in normal mode, mapped only in a buffer in which a change is shown or written, and only as long.
local M = {}

---@param name 'accept'|'discard'|'jump' a function of the review's
---@param argument boolean
---@return fun()
local function review(name, argument)
  return function()
    local does = require('codellama.edits.review')[name] --[[@as fun(argument: boolean)]]
    does(argument)
  end
end

---Name in the options -> its |<Plug>| name, what it does.
---@type table<string, {plug: string, does: fun()}>
M.ACTIONS = {
  accept = { plug = 'accept-hunk', does = review('accept', false) },
  discard = { plug = 'discard-hunk', does = review('discard', false) },
  accept_all = { plug = 'accept-edit', does = review('accept', true) },
  discard_all = { plug = 'discard-edit', does = review('discard', true) },
  next = { plug = 'next-hunk', does = review('jump', true) },
  previous = { plug = 'previous-hunk', does = review('jump', false) },
  again = {
    plug = 'edit-again',
    does = function()
      require('codellama.edits').again()
    end,
  },
  stop = {
    plug = 'stop-edit',
    does = function()
      if require('codellama.edits.work').stop() > 0 then
        require('codellama.notify').say('stopped.')
      end
    end,
  },
}

local before = {} ---@type table<integer, table<string, table<string, any>>> buffer -> key -> its own mapping, or {}

---@return table<string, string|false>
local function chosen()
  return (require('codellama.config').options.review or {}) --[[@as table<string, string|false>]]
end

---Take the keys of some actions in a buffer, and give back the others.
---@param bufnr integer
---@param actions string[]
function M.take(bufnr, actions)
  M.give_back(bufnr)
  before[bufnr] = {}
  for _, action in ipairs(actions) do
    local key = chosen()[action]
    if key then
      before[bufnr][key] = vim.api.nvim_buf_call(bufnr, function()
        local found = vim.fn.maparg(key, 'n', false, true)
        return found.buffer == 1 and found or {}
      end)
      local does, plug = M.ACTIONS[action].does, M.ACTIONS[action].plug
      vim.keymap.set('n', key, does, { buffer = bufnr, nowait = true, desc = 'Code Llama: ' .. plug:gsub('-', ' ') })
    end
  end
end

---Give back the keys of a buffer.
---@param bufnr integer
function M.give_back(bufnr)
  local taken = before[bufnr] or {}
  before[bufnr] = nil
  if not vim.api.nvim_buf_is_loaded(bufnr) then
    return
  end
  vim.api.nvim_buf_call(bufnr, function()
    for key, mapping in pairs(taken) do
      pcall(vim.keymap.del, 'n', key, { buffer = bufnr })
      if next(mapping) then
        vim.fn.mapset('n', false, mapping)
      end
    end
  end)
end

---What the keys of some actions are, for the user to read.
---@param actions {[1]: string, [2]: string}[] action, words with its key
---@return string
function M.help(actions)
  local parts = {} ---@type string[]
  for _, each in ipairs(actions) do
    local key = chosen()[each[1]]
    if key then
      parts[#parts + 1] = each[2]:format(key)
    end
  end
  return table.concat(parts, '  ')
end

return M
