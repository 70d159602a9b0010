---Ghost text of this plugin's own, for a Neovim without inline completion (0.11).
local accept = require('codellama.accept')
local positions = require('codellama.positions')

local M = {}

local METHOD = 'textDocument/inlineCompletion'
local EVENTS = { 'InsertEnter', 'CursorMovedI', 'TextChangedI', 'TextChangedP' }
local namespace = vim.api.nvim_create_namespace('codellama.ghost')

---@class codellama.Ghost
---@field bufnr integer
---@field client_id integer
---@field all codellama.Suggestion[]
---@field index integer
---@field shown boolean

local ghost ---@type codellama.Ghost?
local asked = {} ---@type {client?: vim.lsp.Client, id?: integer, key?: string}

---@param bufnr integer
---@return string
local function group_name(bufnr)
  return 'codellama.ghost.' .. bufnr
end

local function cancel()
  if asked.client and asked.id then
    asked.client:cancel_request(asked.id)
  end
  asked = {}
end

local function clear()
  if ghost and vim.api.nvim_buf_is_valid(ghost.bufnr) then
    vim.api.nvim_buf_clear_namespace(ghost.bufnr, namespace, 0, -1)
  end
  ghost = nil
end

---@param bufnr integer
---@param text string
---@return string text with tabs as wide as the buffer has them
local function without_tabs(bufnr, text)
  return (text:gsub('\t', (' '):rep(vim.bo[bufnr].tabstop)))
end

---Draw what is left of the suggestion after what has been typed.
---@return boolean shown whether there is anything to show
local function draw()
  local now = ghost
  if not now then
    return false
  end
  local rest = accept.rest(now.bufnr, assert(now.all[now.index]))
  vim.api.nvim_buf_clear_namespace(now.bufnr, namespace, 0, -1)
  now.shown = rest ~= nil and rest ~= ''
  if not rest or rest == '' then
    return false
  end
  local lines = vim.split(without_tabs(now.bufnr, rest), '\n', { plain = true })
  local below = {} ---@type [string, string][][]
  for index = 2, #lines do
    below[#below + 1] = { { lines[index], 'CodeLlamaGhost' } }
  end
  local chunks = { { assert(lines[1]), 'CodeLlamaGhost' } } ---@type [string, string][]
  if #now.all > 1 then
    chunks[2] = { (' (%d/%d)'):format(now.index, #now.all), 'CodeLlamaGhostMore' }
  end
  local row, column = positions.cursor()
  vim.api.nvim_buf_set_extmark(now.bufnr, namespace, row, column, {
    virt_text = chunks,
    virt_text_pos = 'inline',
    virt_lines = below,
    hl_mode = 'combine',
  })
  return true
end

---@param client vim.lsp.Client
---@param bufnr integer
---@param result {items: codellama.Item[]} as the shield gives it
local function received(client, bufnr, result)
  clear()
  local all = {} ---@type codellama.Suggestion[]
  for _, item in ipairs(result.items) do
    all[#all + 1] = {
      row = item.range.start.line,
      column = positions.byte_column(bufnr, item.range.start, client.offset_encoding),
      text = item.insertText,
      command = item.command,
    }
  end
  if #all > 0 then
    ghost = { bufnr = bufnr, client_id = client.id, all = all, index = 1, shown = false }
    if not draw() then
      clear()
    end
  end
end

---@param client vim.lsp.Client
---@param bufnr integer
local function request(client, bufnr)
  local row, column = positions.cursor()
  local key = ('%d:%d:%d:%d'):format(bufnr, vim.api.nvim_buf_get_changedtick(bufnr), row, column)
  if asked.key == key then
    return -- several events come for one keystroke
  end
  cancel()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  asked = { client = client, key = key }
  local sent, id = client:request(METHOD, params, function(_, result)
    if asked.key == key then
      asked.id = nil
      received(client, bufnr, result)
    end
  end, bufnr)
  if sent then
    asked.id = id
  end
end

---Ask for a suggestion now.
---@param client vim.lsp.Client
---@param bufnr integer
function M.suggest(client, bufnr)
  asked.key = nil
  request(client, bufnr)
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attach(client, bufnr)
  local group = vim.api.nvim_create_augroup(group_name(bufnr), { clear = true })
  vim.api.nvim_create_autocmd(EVENTS, {
    group = group,
    buffer = bufnr,
    callback = function()
      if not (ghost and ghost.bufnr == bufnr and draw()) then
        clear()
        request(client, bufnr)
      end
    end,
  })
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave', 'BufUnload' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      cancel()
      clear()
    end,
  })
end

---@param bufnr integer
function M.detach(bufnr)
  pcall(vim.api.nvim_del_augroup_by_name, group_name(bufnr))
  if ghost and ghost.bufnr == bufnr then
    clear()
  end
end

---Whether ghost text is on the screen.
---@param bufnr integer
---@return boolean
function M.is_visible(bufnr)
  return ghost ~= nil and ghost.bufnr == bufnr and ghost.shown
end

---@param bufnr integer
function M.dismiss(bufnr)
  clear()
  require('codellama.keys').follow(bufnr)
end

---Take a part of what is shown, and show the rest.
---@param bufnr integer
---@param pick codellama.Pick
function M.take(bufnr, pick)
  -- Scheduled: a mapping that is an expression must not change text.
  vim.schedule(function()
    local now = ghost
    if not now or now.bufnr ~= bufnr or vim.api.nvim_get_current_buf() ~= bufnr then
      return
    end
    local suggestion = assert(now.all[now.index])
    local left = accept.insert(bufnr, suggestion, pick)
    clear()
    if left and left ~= '' then
      local row, column = positions.cursor()
      suggestion = { row = row, column = column, text = left, command = suggestion.command }
      ghost = { bufnr = bufnr, client_id = now.client_id, all = { suggestion }, index = 1, shown = false }
      draw()
    elseif left then
      require('codellama.inline').taken(bufnr)
      if suggestion.command then
        assert(vim.lsp.get_client_by_id(now.client_id)):exec_cmd(suggestion.command, { bufnr = bufnr })
      end
    end
    require('codellama.keys').follow(bufnr)
  end)
end

---How many suggestions there are to choose from.
---@param bufnr integer
---@return integer
function M.count(bufnr)
  return ghost and ghost.bufnr == bufnr and #ghost.all or 0
end

---Show another suggestion, where there are several.
---@param bufnr integer
---@param count integer
function M.cycle(bufnr, count)
  if ghost and ghost.bufnr == bufnr then
    ghost.index = (ghost.index - 1 + count) % #ghost.all + 1
    draw()
  end
end

return M
