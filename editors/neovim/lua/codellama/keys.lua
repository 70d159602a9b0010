---Keys in insert mode. Without ghost text on the screen, each does what it did before.
local M = {}

M.ACTIONS = { 'accept', 'accept_word', 'accept_line', 'next', 'previous', 'dismiss', 'suggest' }

---The name of the <Plug> mapping of an action.
---@param action string
---@return string
function M.plug(action)
  return ('<Plug>(codellama-%s)'):format((action:gsub('_', '-')))
end

---What a key did before, as the result of an expression mapping.
---@param before table<string, any> from |maparg()|
---@param key string
---@return string
local function fall_back(before, key)
  if not next(before) then
    return vim.keycode(key)
  end
  if before.expr == 1 then
    local result = before.callback and before.callback() or not before.callback and vim.fn.eval(before.rhs) or ''
    return before.replace_keycodes == 1 and vim.keycode(result) or result
  end
  if before.callback then
    vim.schedule(before.callback)
  else
    vim.api.nvim_feedkeys(vim.keycode(before.rhs or ''), before.noremap == 1 and 'n' or 'm', false)
  end
  return ''
end

---Whether the popup menu waits for an answer: its keys come first.
---@return boolean
local function in_menu()
  return vim.fn.pumvisible() == 1 and vim.fn.complete_info({ 'selected' }).selected >= 0
end

---@param action string
---@param key string
local function map(action, key)
  local before = vim.fn.maparg(key, 'i', false, true)
  if before.desc and before.desc:find('^Code Llama') or before.buffer == 1 then
    before = {}
  end
  vim.keymap.set('i', key, function()
    local act = require('codellama.inline')[action] --[[@as fun(): boolean]]
    if not in_menu() and act() then
      return ''
    end
    return fall_back(before, key)
  end, {
    expr = true,
    replace_keycodes = false,
    desc = 'Code Llama: ' .. action:gsub('_', ' '),
  })
end

---Take the keys of the options.
---@param keys codellama.Keys|false
function M.set(keys)
  for _, action in ipairs(M.ACTIONS) do
    local key = keys and keys[action]
    if key then
      map(action, key)
    end
  end
end

return M
