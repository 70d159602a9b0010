---The next edit: where the last change leads, shown in place. One key goes there, and takes it.
local config = require('codellama.config')
local positions = require('codellama.positions')

local M = {}

-- Milliseconds after the last change before the server is asked.
local REST = 120
local EVENTS = { 'TextChanged', 'TextChangedI', 'InsertLeave' }
local namespace = vim.api.nvim_create_namespace('codellama.next_edit')

---@class codellama.NextEdit As `codellama/nextEdit` answers.
---@field id string
---@field kind string
---@field title string
---@field textDocument {uri: string, version?: integer}
---@field range lsp.Range
---@field oldText string
---@field newText string

---@class codellama.ShownNext
---@field edit codellama.NextEdit
---@field client vim.lsp.Client
---@field from integer the buffer in which it was asked for
---@field tick integer its state then
---@field bufnr? integer where it is, if that is loaded
---@field keys table<string, table<string, any>> the buffer's own mappings of the keys that are taken

local shown ---@type codellama.ShownNext?
local timer = assert(vim.uv.new_timer())
local asked ---@type {client: vim.lsp.Client, id: integer}?
local going = false -- from one to the next: the cursor follows

---@param name string
---@return string
local function group_name(name)
  return 'codellama.next_edit.' .. name
end

---@param client vim.lsp.Client
---@param id string
---@param outcome 'accepted'|'rejected'|'ignored'
local function tell(client, id, outcome)
  ---@diagnostic disable-next-line: param-type-mismatch (Neovim names the methods of the protocol only)
  client:notify('codellama/nextEdit/outcome', { id = id, outcome = outcome })
end

---@param now codellama.ShownNext
local function give_back_keys(now)
  for key, before in pairs(now.keys) do
    if vim.api.nvim_buf_is_valid(now.from) then
      pcall(vim.keymap.del, 'n', key, { buffer = now.from })
      if next(before) then
        vim.api.nvim_buf_call(now.from, function()
          vim.fn.mapset('n', false, before)
        end)
      end
    end
  end
end

---Take it off the screen.
---@param outcome? 'accepted'|'rejected'|'ignored'
local function clear(outcome)
  local now = shown
  shown = nil
  if not now then
    return
  end
  give_back_keys(now)
  for _, bufnr in ipairs({ now.from, now.bufnr }) do
    if vim.api.nvim_buf_is_valid(bufnr) then
      vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
    end
  end
  if outcome then
    tell(now.client, now.edit.id, outcome)
  end
end

---@param now codellama.ShownNext
---@return integer row
---@return integer column in bytes
---@return integer end_row
---@return integer end_column
local function place(now)
  local bufnr, range, encoding = assert(now.bufnr), now.edit.range, now.client.offset_encoding
  local column = positions.byte_column(bufnr, range.start, encoding)
  return range.start.line, column, range['end'].line, positions.byte_column(bufnr, range['end'], encoding)
end

---@param now codellama.ShownNext
local function draw(now)
  local bufnr = now.bufnr
  if bufnr ~= vim.api.nvim_get_current_buf() then
    local name = vim.fn.fnamemodify(vim.uri_to_fname(now.edit.textDocument.uri), ':t')
    local words = ('  → %s:%d  %s'):format(name, now.edit.range.start.line + 1, now.edit.title)
    local row = math.min(positions.cursor(), vim.api.nvim_buf_line_count(now.from) - 1)
    vim.api.nvim_buf_set_extmark(now.from, namespace, row, 0, {
      virt_text = { { words, 'CodeLlamaNote' } },
      sign_text = '»',
      sign_hl_group = 'CodeLlamaTitle',
    })
    return
  end
  local row, column, end_row, end_column = place(now)
  local lines = vim.split(now.edit.newText, '\n', { plain = true })
  local below = {} ---@type [string, string][][]
  for index = 2, #lines do
    below[#below + 1] = { { lines[index], 'CodeLlamaNew' } }
  end
  if now.edit.oldText ~= '' then
    vim.api.nvim_buf_set_extmark(bufnr, namespace, row, column, {
      end_row = end_row,
      end_col = end_column,
      hl_group = 'CodeLlamaOld',
    })
  end
  vim.api.nvim_buf_set_extmark(bufnr, namespace, end_row, end_column, {
    virt_text = lines[1] ~= '' and { { assert(lines[1]), 'CodeLlamaNew' } } or nil,
    virt_text_pos = 'inline',
    virt_lines = #below > 0 and below or nil,
    sign_text = '»',
    sign_hl_group = 'CodeLlamaTitle',
  })
end

---@param now codellama.ShownNext
local function take_keys(now)
  local keys = config.options.next_edit
  for key, does in pairs({
    [keys and keys.accept or ''] = M.go,
    [keys and keys.reject or ''] = M.reject,
  }) do
    if key ~= '' then
      now.keys[key] = vim.api.nvim_buf_call(now.from, function()
        local found = vim.fn.maparg(key, 'n', false, true)
        return found.buffer == 1 and found or {}
      end)
      vim.keymap.set('n', key, does, { buffer = now.from, nowait = true, desc = 'Code Llama: the next edit' })
    end
  end
end

---Show an edit, if the text and the user are still where they were.
---@param client vim.lsp.Client
---@param from integer
---@param tick integer
---@param edit? codellama.NextEdit
local function received(client, from, tick, edit)
  clear()
  if not edit or vim.api.nvim_get_current_buf() ~= from or vim.api.nvim_buf_get_changedtick(from) ~= tick then
    going = false
    return
  end
  if require('codellama.inline').is_visible() then
    return -- a suggestion at the cursor comes first
  end
  local bufnr = vim.fn.bufnr(vim.uri_to_fname(edit.textDocument.uri))
  local loaded = bufnr >= 0 and vim.api.nvim_buf_is_loaded(bufnr) and bufnr or nil
  shown = { edit = edit, client = client, from = from, tick = tick, bufnr = loaded, keys = {} }
  take_keys(shown)
  draw(shown)
  if going and shown.bufnr == from then
    M.jump()
  end
  going = false
end

---Ask the server where the last change leads.
---@param client vim.lsp.Client
---@param bufnr integer the current buffer
---@param on_nothing? fun()
local function ask(client, bufnr, on_nothing)
  if asked then
    asked.client:cancel_request(asked.id)
    asked = nil
  end
  local tick = vim.api.nvim_buf_get_changedtick(bufnr)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  local sent, id = require('codellama.client').ask(client, 'nextEdit', params, function(_, result)
    asked = nil
    local edit = type(result) == 'table' and result.edit or vim.NIL
    received(client, bufnr, tick, edit ~= vim.NIL and edit or nil)
    if edit == vim.NIL and on_nothing then
      on_nothing()
    end
  end)
  asked = sent and id and { client = client, id = id } or nil
end

---@param client vim.lsp.Client
---@return boolean
local function offers(client)
  return vim.tbl_get(client, 'server_capabilities', 'experimental', 'codellama/nextEdit') ~= nil
end

---@param client vim.lsp.Client
---@param bufnr integer
function M.attached(client, bufnr)
  if not offers(client) then
    return
  end
  local group = vim.api.nvim_create_augroup(group_name(tostring(bufnr)), { clear = true })
  vim.api.nvim_create_autocmd(EVENTS, {
    group = group,
    buffer = bufnr,
    callback = function(event)
      local now = shown
      if now and now.from == bufnr and now.tick == vim.api.nvim_buf_get_changedtick(bufnr) then
        return
      end
      clear(event.event ~= 'InsertLeave' and 'ignored' or nil)
      if not config.options.next_edit then
        return
      end
      timer:stop()
      timer:start(going and 1 or REST, 0, function()
        vim.schedule(function()
          if vim.api.nvim_get_current_buf() == bufnr and vim.lsp.get_client_by_id(client.id) then
            ask(client, bufnr)
          end
        end)
      end)
    end,
  })
  vim.api.nvim_create_autocmd({ 'BufLeave', 'BufUnload' }, {
    group = group,
    buffer = bufnr,
    callback = function()
      timer:stop()
      clear()
    end,
  })
end

---@param bufnr integer
function M.detached(bufnr)
  pcall(vim.api.nvim_del_augroup_by_name, group_name(tostring(bufnr)))
  if shown and (shown.from == bufnr or shown.bufnr == bufnr) then
    clear()
  end
end

---Whether an edit is on the screen.
---@return boolean
function M.is_visible()
  return shown ~= nil and shown.from == vim.api.nvim_get_current_buf()
end

---Go where the edit is; another file is opened.
---@return boolean done false where there is none, or the cursor is there
function M.jump()
  local now = shown
  if not now or not M.is_visible() then
    return false
  end
  local target = now.edit.range.start
  if now.bufnr ~= now.from then
    local edit, client = now.edit, now.client
    clear()
    vim.cmd("normal! m'")
    if not vim.lsp.util.show_document({ uri = edit.textDocument.uri, range = edit.range }, client.offset_encoding) then
      return false
    end
    going = true
    M.ask_when_attached(vim.api.nvim_get_current_buf(), 40)
    return true
  end
  local row, column = place(now)
  local cursor_row, cursor_column = positions.cursor()
  local length = #(vim.api.nvim_buf_get_lines(0, row, row + 1, false)[1] or '')
  local reached = math.min(column, math.max(0, length - (vim.fn.mode() == 'i' and 0 or 1)))
  if cursor_row == target.line and cursor_column == reached then
    return false
  end
  vim.cmd("normal! m'")
  vim.api.nvim_win_set_cursor(0, { row + 1, reached })
  return true
end

---Ask in a buffer that was just opened, once the server knows it.
---@param bufnr integer
---@param tries integer
function M.ask_when_attached(bufnr, tries)
  local client = vim.lsp.get_clients({ name = 'codellama', bufnr = bufnr })[1]
  if vim.api.nvim_get_current_buf() ~= bufnr or tries == 0 then
    going = false
  elseif client then
    ask(client, bufnr)
  else
    vim.defer_fn(function()
      M.ask_when_attached(bufnr, tries - 1)
    end, 50)
  end
end

---Make the edit, as one step to undo; the cursor goes on to the next one.
---@return boolean done
function M.accept()
  local now = shown
  if not now or not M.is_visible() or now.bufnr ~= now.from then
    return false
  end
  if now.tick ~= vim.api.nvim_buf_get_changedtick(now.from) then
    clear()
    return false
  end
  local row, column, end_row, end_column = place(now)
  local edit = now.edit
  clear('accepted')
  going = true
  vim.cmd('let &g:undolevels = &g:undolevels') -- a step of its own, also in insert mode
  vim.api.nvim_buf_set_text(now.from, row, column, end_row, end_column, vim.split(edit.newText, '\n', { plain = true }))
  return true
end

---Go to the edit, or where the cursor is there, make it: one key for both.
---@return boolean done
function M.go()
  return M.jump() or M.accept()
end

---Take the edit off the screen, and say that it is not wanted.
---@return boolean done
function M.reject()
  if not M.is_visible() then
    return false
  end
  going = false
  clear('rejected')
  return true
end

---Where the last change leads, asked for by hand.
function M.ask()
  if M.go() then
    return
  end
  local bufnr = vim.api.nvim_get_current_buf()
  local client = require('codellama.client').need(bufnr)
  if client then
    going = true
    ask(client, bufnr, function()
      require('codellama.notify').say('nothing follows from the last change.')
    end)
  end
end

return M
