---Between Neovim and the server: replies that Neovim would show or apply although they do not fit any more, and
---diagnostics that it would not send. Wraps the requests of this one client and of no other.
local notify = require('codellama.notify')
local positions = require('codellama.positions')

local M = {}

local why = vim.api.nvim_create_namespace('codellama.why')
local INLINE, ACTION, RESOLVE = 'textDocument/inlineCompletion', 'textDocument/codeAction', 'codeAction/resolve'

---@class codellama.Item: lsp.InlineCompletionItem One with all that Neovim relies on.
---@field insertText string
---@field range lsp.Range

---@class codellama.Replied
---@field items codellama.Item[]
---@field encoding 'utf-8'|'utf-16'|'utf-32'

---@class codellama.Place
---@field tick integer
---@field row integer
---@field column integer

---@param bufnr integer the current buffer
---@return codellama.Place
local function here(bufnr)
  local row, column = positions.cursor()
  return { tick = vim.api.nvim_buf_get_changedtick(bufnr), row = row, column = column }
end

---What the server suggested last, for each buffer.
local replied = {} ---@type table<integer, codellama.Replied>

---Where the user asked for a suggestion, for each buffer.
local invoked = {} ---@type table<integer, {place: codellama.Place, on_reply: fun()?}>

---What is left of a suggestion that was accepted in part, for each buffer.
local rests = {} ---@type table<integer, {place: codellama.Place, items: codellama.Item[]}>

---What draws an answer, for each buffer.
local drawers = {} ---@type table<integer, lsp.Handler>

---@param bufnr integer
---@return codellama.Replied?
function M.replied(bufnr)
  return replied[bufnr]
end

---@param handler lsp.Handler
---@param items codellama.Item[]
---@param bufnr integer the current buffer
---@param ctx table
local function draw(handler, items, bufnr, ctx)
  handler(nil, { items = items }, ctx)
  if require('codellama.inline').method() == 'builtin' then
    require('codellama.builtin').make_room(bufnr)
  end
end

---Draw the rest of what was just accepted in part, and answer the next request at the cursor with it: Neovim's own comes
---only after a while, and until then the keys would find nothing to do.
---@param client vim.lsp.Client
---@param bufnr integer the current buffer
---@param text string
function M.keep_rest(client, bufnr, text)
  local row, column = positions.cursor()
  local position = positions.position(bufnr, row, column, client.offset_encoding)
  local items = { { insertText = text, range = { start = position, ['end'] = position } } } ---@type codellama.Item[]
  rests[bufnr] = { place = here(bufnr), items = items }
  replied[bufnr] = { items = items, encoding = client.offset_encoding }
  if drawers[bufnr] then
    draw(drawers[bufnr], items, bufnr, { client_id = client.id, method = INLINE, bufnr = bufnr })
  end
end

---Say that a suggestion which was asked for comes only once the model is loaded.
---@param bufnr integer
local function say_when_loading(bufnr)
  local status = require('codellama.status').get(bufnr) or {}
  if status.kind == 'starting' or status.kind == 'loading' then
    notify.say(vim.trim('no suggestion yet. ' .. (status.message or '')))
  end
end

---The next request at the cursor is one that the user asked for: it is sent also where suggestions are off, the server
---does not wait whether the user types on, and the user is told why nothing came of it.
---@param bufnr integer the current buffer
---@param on_reply? fun() called when the answer has been dealt with
function M.invoke(bufnr, on_reply)
  invoked[bufnr] = { place = here(bufnr), on_reply = on_reply }
end

---Say why there is none: as a message, and at the cursor until that moves.
---@param bufnr integer the current buffer
local function say_why_none(bufnr)
  local suggestion = (require('codellama.status').get(bufnr) or {}).suggestion or {}
  notify.say(vim.trim('no suggestion here. ' .. (suggestion.reason or '')))
  local row = vim.api.nvim_win_get_cursor(0)[1] - 1
  local text = { { '  ' .. (suggestion.reason or 'no suggestion here'), 'CodeLlamaGhostMore' } }
  vim.api.nvim_buf_set_extmark(bufnr, why, row, 0, { virt_text = text, virt_text_pos = 'eol', hl_mode = 'combine' })
  vim.api.nvim_create_autocmd({ 'CursorMovedI', 'TextChangedI', 'InsertLeave' }, {
    buffer = bufnr,
    once = true,
    callback = function()
      vim.api.nvim_buf_clear_namespace(bufnr, why, 0, -1)
    end,
  })
end

---@param item lsp.InlineCompletionItem
---@param position lsp.Position where the suggestion was asked for
---@return codellama.Item?
local function sound(item, position)
  local text = item.insertText
  text = type(text) == 'table' and text.value or text
  if type(text) ~= 'string' or text == '' then
    return nil
  end
  local range = item.range
  if type(range) ~= 'table' or range.start.line ~= position.line then
    range = { start = position, ['end'] = position }
  end
  local command = type(item.command) == 'table' and item.command or nil
  return { insertText = (text:gsub('\r\n?', '\n')), range = range, command = command }
end

---@param client vim.lsp.Client
---@param params lsp.InlineCompletionParams
---@param handler lsp.Handler
---@return lsp.Handler? handler nil where the request must not be sent
---@return codellama.Item[]? items what is known without asking
local function inline(client, params, handler)
  local bufnr = vim.api.nvim_get_current_buf()
  if vim.uri_to_bufnr(params.textDocument.uri) ~= bufnr then
    return nil -- the cursor is in another buffer: the position would be of that one
  end
  local place = here(bufnr)
  local by_hand = vim.deep_equal((invoked[bufnr] or {}).place, place)
  local on_reply = by_hand and invoked[bufnr].on_reply or nil
  invoked[bufnr] = nil
  if not by_hand and not require('codellama.inline').is_on(bufnr) then
    return nil
  elseif not by_hand and vim.fn.reg_recording() ~= '' then
    return nil -- where the macro is played, it would not be there for the keys that were pressed
  end
  drawers[bufnr] = handler
  params.context = { triggerKind = by_hand and 1 or 2 } -- invoked, automatic
  if by_hand then
    say_when_loading(bufnr)
  end
  local rest = rests[bufnr]
  rests[bufnr] = nil
  local known ---@type codellama.Item[]?
  if rest and vim.deep_equal(rest.place, place) then
    known = rest.items
    replied[bufnr] = { items = known, encoding = client.offset_encoding }
  end
  return function(err, result, ctx)
    if not vim.api.nvim_buf_is_valid(bufnr) or vim.api.nvim_get_current_buf() ~= bufnr then
      return
    end
    if not vim.deep_equal(here(bufnr), place) or vim.api.nvim_get_mode().mode:sub(1, 1) ~= 'i' then
      return -- an answer to an older text; the request for this one is on its way
    end
    local items = {} ---@type codellama.Item[]
    if not err and type(result) == 'table' then
      for _, item in ipairs(result.items or result) do
        items[#items + 1] = sound(item, params.position)
      end
    end
    replied[bufnr] = { items = items, encoding = client.offset_encoding }
    draw(handler, items, bufnr, ctx)
    local command = (items[1] or {}).command
    if command and command.command == 'codellama.accepted' then
      client:notify('codellama/shown', (command.arguments or {})[1]) ---@diagnostic disable-line: param-type-mismatch
    end
    require('codellama.keys').follow(bufnr)
    if by_hand and #items == 0 then
      say_why_none(bufnr)
    elseif on_reply then
      on_reply()
    end
  end,
    known
end

---Neovim sends a server only that server's own diagnostics; ours has none, and mends those of the others.
---@param client vim.lsp.Client
---@param params lsp.CodeActionParams
---@param bufnr integer
local function add_diagnostics(client, params, bufnr)
  if #(params.context.diagnostics or {}) > 0 then
    return
  end
  local first, last = params.range.start.line, params.range['end'].line
  local found = {} ---@type lsp.Diagnostic[]
  for _, each in ipairs(vim.diagnostic.get(bufnr)) do
    local end_row = each.end_lnum or each.lnum
    if each.lnum <= last and end_row >= first then
      found[#found + 1] = {
        range = {
          start = positions.position(bufnr, each.lnum, each.col, client.offset_encoding),
          ['end'] = positions.position(bufnr, end_row, each.end_col or each.col, client.offset_encoding),
        },
        message = each.message,
        severity = each.severity --[[@as lsp.DiagnosticSeverity]],
        source = each.source,
        code = each.code,
      }
    end
  end
  params.context.diagnostics = found
end

---Why a buffer cannot be changed.
---@param bufnr integer
---@return string? sentence
function M.why_fixed(bufnr)
  if vim.bo[bufnr].modifiable and not vim.bo[bufnr].readonly then
    return nil
  end
  local name = vim.fs.basename(vim.api.nvim_buf_get_name(bufnr))
  local what = vim.bo[bufnr].modifiable and 'read-only' or "not 'modifiable'"
  return ('%s is %s, so nothing was changed.'):format(name == '' and 'The buffer' or name, what)
end

---Why an edit cannot be applied.
---@param edit? lsp.WorkspaceEdit
---@return string? sentence
function M.why_not_writable(edit)
  local uris = vim.tbl_keys(type(edit) == 'table' and edit.changes or {})
  for _, change in ipairs(type(edit) == 'table' and edit.documentChanges or {}) do
    uris[#uris + 1] = change.textDocument and change.textDocument.uri or nil
  end
  for _, uri in ipairs(uris) do
    local bufnr = vim.fn.bufnr(vim.fn.fnameescape(vim.uri_to_fname(uri)))
    local reason = bufnr > 0 and vim.api.nvim_buf_is_loaded(bufnr) and M.why_fixed(bufnr)
    if reason then
      return reason
    end
  end
end

---Wrap the requests of a client.
---@param client vim.lsp.Client
function M.install(client)
  if client.codellama_shielded then ---@diagnostic disable-line: undefined-field
    return
  end
  client.codellama_shielded = true ---@diagnostic disable-line: inject-field
  local request = client.request
  ---@param self any
  ---@param method any
  ---@param params any
  ---@param handler any
  ---@param bufnr any
  ---@diagnostic disable-next-line: duplicate-set-field, redundant-parameter
  client.request = function(self, method, params, handler, bufnr)
    if self ~= client then -- called with a dot, as older plugins do
      self, method, params, handler, bufnr = client, self, method, params, handler
    end
    local items ---@type codellama.Item[]?
    if method == INLINE and handler then
      handler, items = inline(client, params, handler)
      if not handler then
        return false
      elseif items then
        local current = vim.api.nvim_get_current_buf()
        draw(handler, items, current, { client_id = client.id, method = INLINE, bufnr = bufnr })
        require('codellama.keys').follow(current)
        return true
      end
    elseif method == ACTION then
      add_diagnostics(client, params, vim.uri_to_bufnr(params.textDocument.uri))
    elseif method == RESOLVE and vim.tbl_get(params, 'data', 'action') then
      -- Chosen from Neovim's menu, which would apply the edit unseen.
      local asked_in = bufnr and bufnr ~= 0 and bufnr or vim.api.nvim_get_current_buf()
      require('codellama.edits.work').begin(client, asked_in, params.data, params.title)
      return true
    end
    return request(client, method, params, handler, bufnr)
  end
end

return M
