---Keys in insert mode. A key is mapped only while its action has something to do, and only in that buffer: otherwise
---Neovim or a mapping of the user's does with it exactly what it does without this plugin.
local M = {}

M.ACTIONS = { 'accept', 'accept_word', 'accept_line', 'next', 'previous', 'dismiss', 'suggest' }

local EVENTS = {
  'InsertEnter',
  'InsertLeave',
  'CursorMovedI',
  'TextChangedI',
  'TextChangedP',
  'CompleteChanged',
  'CompleteDone',
  'BufLeave',
}

---How Neovim writes the first bytes of a key that is pressed together with Alt and nothing else.
local ALT = vim.keycode('<M-x>'):sub(1, 3)

---@class codellama.Taken A key that is mapped at the moment.
---@field does fun(): string
---@field before table<string, any> The buffer's own mapping of it, from |maparg()|; empty where there was none.

local chosen = {} ---@type table<string, string> action -> key
local taken = {} ---@type table<integer, table<string, codellama.Taken>> buffer -> key

---The name of the <Plug> mapping of an action.
---@param action string
---@return string
function M.plug(action)
  return ('<Plug>(codellama-%s)'):format((action:gsub('_', '-')))
end

---@param bufnr integer
---@return string
local function group_name(bufnr)
  return 'codellama.keys.' .. bufnr
end

---Whether the popup menu waits for an answer: its keys come first.
---@return boolean
local function in_menu()
  return vim.fn.pumvisible() == 1 and vim.fn.complete_info({ 'selected' }).selected >= 0
end

---The mapping of a key that a buffer has for itself.
---@param bufnr integer
---@param key string
---@return table<string, any> mapping from |maparg()|; empty where there is none
local function own_mapping(bufnr, key)
  return vim.api.nvim_buf_call(bufnr, function()
    local found = vim.fn.maparg(key, 'i', false, true)
    return found.buffer == 1 and found or {}
  end)
end

---Whether a key is mapped to what it was taken for: nobody has mapped it meanwhile.
---@param bufnr integer
---@param key string
---@return boolean
local function is_ours(bufnr, key)
  local ours = vim.tbl_get(taken, bufnr, key) --[[@as codellama.Taken?]]
  return ours ~= nil and vim.api.nvim_buf_is_loaded(bufnr) and own_mapping(bufnr, key).callback == ours.does
end

---@param bufnr integer
---@param key string
local function give_back(bufnr, key)
  local ours = vim.tbl_get(taken, bufnr, key) --[[@as codellama.Taken?]]
  if not ours then
    return
  end
  if is_ours(bufnr, key) then
    if next(ours.before) then
      vim.api.nvim_buf_call(bufnr, function()
        vim.fn.mapset('i', false, ours.before)
      end)
    else
      vim.keymap.del('i', key, { buffer = bufnr })
    end
  end
  taken[bufnr][key] = nil
end

---Let a key that is mapped, but has nothing to do after all, be pressed anew without the mapping.
---@param bufnr integer
---@param key string
local function press_without(bufnr, key)
  local remap = is_ours(bufnr, key) -- where a mapping of somebody else's leads here, it would do so again
  give_back(bufnr, key)
  local typed = vim.keycode(key)
  if typed:sub(1, 3) == ALT and not (remap and vim.fn.maparg(key, 'i') ~= '') then
    typed = vim.keycode('<Esc>') .. typed:sub(4) -- as Neovim reads it where it is typed
  end
  vim.api.nvim_feedkeys(typed, remap and 'mi' or 'ni', false)
end

---@param bufnr integer
---@param action string
---@param key string
local function take(bufnr, action, key)
  local function does()
    local act = require('codellama.inline')[action] --[[@as fun(): boolean]]
    if in_menu() or not act() then
      press_without(bufnr, key)
    end
    return ''
  end
  taken[bufnr] = taken[bufnr] or {}
  taken[bufnr][key] = { does = does, before = own_mapping(bufnr, key) }
  vim.keymap.set('i', key, does, {
    buffer = bufnr,
    expr = true,
    replace_keycodes = false,
    desc = 'Code Llama: ' .. action:gsub('_', ' '),
  })
end

---Take the keys that have something to do in a buffer now, and give back the others.
---@param bufnr integer
function M.follow(bufnr)
  local menu = in_menu()
  for _, action in ipairs(M.ACTIONS) do
    local key = chosen[action]
    if key then
      local is_taken = vim.tbl_get(taken, bufnr, key) ~= nil
      if menu or not require('codellama.inline').can(action, bufnr) then
        give_back(bufnr, key)
      elseif not is_taken then
        take(bufnr, action, key)
      end
    end
  end
end

---Follow what there is to do in a buffer. What draws must be attached before, so that its events come first.
---@param bufnr integer
function M.attach(bufnr)
  vim.api.nvim_create_autocmd(EVENTS, {
    group = vim.api.nvim_create_augroup(group_name(bufnr), { clear = true }),
    buffer = bufnr,
    callback = function()
      M.follow(bufnr)
    end,
  })
  M.follow(bufnr)
end

---@param bufnr integer
function M.detach(bufnr)
  pcall(vim.api.nvim_del_augroup_by_name, group_name(bufnr))
  for key in pairs(vim.deepcopy(taken[bufnr] or {})) do
    give_back(bufnr, key)
  end
  taken[bufnr] = nil
end

---Use the keys of the options.
---@param keys codellama.Keys|false
function M.set(keys)
  local buffers = vim.tbl_keys(taken) ---@type integer[]
  for _, bufnr in ipairs(buffers) do
    for _, key in pairs(chosen) do
      give_back(bufnr, key)
    end
  end
  chosen = {}
  for _, action in ipairs(M.ACTIONS) do
    chosen[action] = keys and keys[action] or nil
  end
  for _, bufnr in ipairs(buffers) do
    M.follow(bufnr)
  end
end

return M
