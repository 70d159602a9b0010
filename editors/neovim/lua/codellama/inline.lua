---Suggestions as one types: where they are on, and what can be done with the one that is shown.
local accept = require('codellama.accept')
local config = require('codellama.config')

local M = {}

local SNOOZE_MINUTES = 10
---Milliseconds.
local HELD = 700

local everywhere ---@type boolean? nil: as the options say
local held ---@type {bufnr: integer, tick: integer, til: integer}?
local snooze ---@type {timer: uv.uv_timer_t, til: integer}? seconds since 1970
local clients = {} ---@type table<integer, vim.lsp.Client> of the buffers in which they are on

---@return table engine codellama.builtin or codellama.ghost, which can do the same
local function engine()
  local method = config.options.inline.method
  local builtin = require('codellama.builtin')
  if method ~= 'own' and builtin.is_there() then
    return builtin
  end
  return require('codellama.ghost')
end

---@return 'builtin'|'own'
function M.method()
  return engine() == require('codellama.builtin') and 'builtin' or 'own'
end

---Whether suggestions are on in a buffer.
---@param bufnr integer
---@return boolean
function M.is_on(bufnr)
  if snooze then
    return false
  end
  local here = vim.b[bufnr].codellama_enabled
  if here ~= nil then
    return here
  end
  if everywhere ~= nil then
    return everywhere
  end
  return config.options.inline.enabled ~= false
end

---@param client vim.lsp.Client
---@return boolean
local function suggests(client)
  return vim.tbl_get(client, 'server_capabilities', 'inlineCompletionProvider') ~= nil
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attached(client, bufnr)
  clients[bufnr] = client
  if suggests(client) and M.is_on(bufnr) then
    local now = engine()
    now.attach(client, bufnr)
    -- What was typed before the server listened is not typed again.
    if vim.api.nvim_get_current_buf() == bufnr and vim.api.nvim_get_mode().mode:sub(1, 1) == 'i' then
      now.suggest(client, bufnr)
    end
  end
  require('codellama.keys').attach(bufnr)
end

---@param bufnr integer
function M.detached(bufnr)
  clients[bufnr] = nil
  engine().detach(bufnr)
  require('codellama.keys').detach(bufnr)
end

---@param bufnr integer
local function refresh(bufnr)
  local client = clients[bufnr]
  if client then
    engine().detach(bufnr)
    M.attached(client, bufnr)
  end
end

---Turn suggestions on or off.
---@param on? boolean nil: the other way round
---@param bufnr? integer nil: everywhere
function M.enable(on, bufnr)
  if bufnr then
    if on == nil then
      on = not M.is_on(bufnr)
    end
    vim.b[bufnr].codellama_enabled = on
    refresh(bufnr)
  else
    if on == nil then
      on = not M.is_on(vim.api.nvim_get_current_buf())
    end
    everywhere = on
    for each in pairs(clients) do
      vim.b[each].codellama_enabled = nil
      refresh(each)
    end
  end
  vim.cmd.redrawstatus({ bang = true })
end

---Until when suggestions are off for a while.
---@return string? time as a clock shows it
function M.snoozes_til()
  return snooze and os.date('%H:%M', snooze.til) --[[@as string?]]
end

---Suggestions off everywhere for a while, or on again.
---@param minutes? number
function M.snooze(minutes)
  if snooze then
    if not snooze.timer:is_closing() then -- else its time is over
      snooze.timer:close()
    end
    snooze = nil
  else
    local seconds = math.ceil((minutes or SNOOZE_MINUTES) * 60)
    local timer = vim.defer_fn(function()
      if snooze then
        M.snooze()
      end
    end, seconds * 1000) --[[@as uv.uv_timer_t]]
    snooze = { timer = timer, til = os.time() + seconds }
  end
  for each in pairs(clients) do
    refresh(each)
  end
  vim.cmd.redrawstatus({ bang = true })
end

---Whether ghost text is on the screen at the cursor.
---@return boolean
function M.is_visible()
  return engine().is_visible(vim.api.nvim_get_current_buf())
end

---A suggestion was taken whole: for a moment the key for that means the next one, which may be on its way, and types
---nothing into the code.
---@param bufnr integer
function M.taken(bufnr)
  held = { bufnr = bufnr, tick = vim.api.nvim_buf_get_changedtick(bufnr), til = vim.uv.now() + HELD }
  vim.defer_fn(function()
    if vim.api.nvim_buf_is_valid(bufnr) then
      require('codellama.keys').follow(bufnr)
    end
  end, HELD + 10)
end

---@param bufnr integer
---@return boolean
local function is_held(bufnr)
  return held ~= nil and held.bufnr == bufnr and vim.uv.now() < held.til
    and vim.api.nvim_buf_get_changedtick(bufnr) == held.tick
end

---@param pick codellama.Pick
---@return boolean taken whether there was anything to take
local function take(pick)
  if not M.is_visible() then
    return false
  end
  engine().take(vim.api.nvim_get_current_buf(), pick)
  return true
end

---Take the whole suggestion. May be called by an expression mapping.
---@return boolean taken
function M.accept()
  return take(accept.whole) or is_held(vim.api.nvim_get_current_buf())
end

---@return boolean taken
function M.accept_word()
  return take(accept.word)
end

---@return boolean taken
function M.accept_line()
  return take(accept.line)
end

---Ask the server for a suggestion at the cursor.
---@param bufnr integer the current buffer
---@param on_reply? fun() called when the answer is on the screen
---@return boolean asked
local function ask(bufnr, on_reply)
  local client = clients[bufnr]
  if not client or not M.can('suggest', bufnr) then
    return false
  end
  local now = engine()
  if not M.is_on(bufnr) then
    now.attach(client, bufnr) -- what comes of itself is still held back
  end
  -- Scheduled: an expression mapping may not do all of it.
  vim.schedule(function()
    if vim.api.nvim_get_current_buf() == bufnr then
      require('codellama.shield').invoke(bufnr, on_reply)
      now.suggest(client, bufnr)
    end
  end)
  return true
end

---Whether an action has something to do in a buffer.
---@param action string
---@param bufnr integer
---@return boolean
function M.can(action, bufnr)
  local client = clients[bufnr]
  if not client or not suggests(client) then
    return false
  end
  return action == 'suggest' or engine().is_visible(bufnr) or action == 'accept' and is_held(bufnr)
end

---Show another suggestion. Where there is but one, the server is asked for others.
---@param count integer
---@return boolean done
local function cycle(count)
  if not M.is_visible() then
    return false
  end
  local bufnr, now = vim.api.nvim_get_current_buf(), engine()
  if now.count(bufnr) > 1 then
    now.cycle(bufnr, count)
    return true
  end
  return ask(bufnr, function()
    if now.count(bufnr) > 1 then
      now.cycle(bufnr, count)
    else
      require('codellama.notify').say('there is no other suggestion here.')
    end
  end)
end

---@return boolean done
function M.next()
  return cycle(1)
end

---@return boolean done
function M.previous()
  return cycle(-1)
end

---Ask for a suggestion at the cursor now, also where they are off.
---@return boolean asked false where there is no server to ask
function M.suggest()
  return ask(vim.api.nvim_get_current_buf())
end

---Take the ghost text off the screen, until one types on.
---@return boolean done
function M.dismiss()
  if not M.is_visible() then
    return false
  end
  engine().dismiss(vim.api.nvim_get_current_buf())
  return true
end

return M
