---Neovim's own inline completion (0.12), made safe: what is accepted always fits what has been typed meanwhile.
local accept = require('codellama.accept')
local positions = require('codellama.positions')
local shield = require('codellama.shield')

local M = {}

local NAMESPACE = 'nvim.lsp.inline_completion'

---@param bufnr integer
---@return string
local function group_name(bufnr)
  return 'codellama.builtin.' .. bufnr
end

---@return boolean
function M.is_there()
  return vim.lsp.inline_completion ~= nil
end

---@param bufnr integer
---@param item codellama.Item
---@return codellama.Suggestion
local function suggestion_of(bufnr, item)
  local encoding = assert(shield.replied(bufnr)).encoding
  return {
    row = item.range.start.line,
    column = positions.byte_column(bufnr, item.range.start, encoding),
    text = item.insertText,
    command = item.command,
  }
end

---A suggestion of the server that has this text, as it was sent.
---@param bufnr integer
---@param text? string nil: any that goes on at the cursor
---@return codellama.Suggestion?
local function suggested(bufnr, text)
  local replied = shield.replied(bufnr)
  if not replied then
    return nil
  end
  for _, item in ipairs(replied.items) do
    local suggestion = suggestion_of(bufnr, item)
    if text and text == item.insertText or not text and accept.rest(bufnr, suggestion) then
      return suggestion
    end
  end
end

---Whether ghost text is on the screen.
---@param bufnr integer
---@return boolean
function M.is_visible(bufnr)
  local namespace = vim.api.nvim_create_namespace(NAMESPACE)
  local marks = vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, { details = true })
  for _, mark in ipairs(marks) do
    local details = mark[4] or {}
    if #(details.virt_lines or {}) > 0 or vim.tbl_get(details, 'virt_text', 1, 1) ~= '' then
      return true
    end
  end
  return false
end

---Neovim draws over what stands to the right of the cursor, and leaves out what the suggestion and that begin with
---alike. Draw it between the two.
---@param bufnr integer the current buffer
function M.make_room(bufnr)
  local namespace = vim.api.nvim_create_namespace(NAMESPACE)
  local row, column = positions.cursor()
  local line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  if not line:find('%S', column + 1) then
    return
  end
  for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(bufnr, namespace, { row, 0 }, { row, -1 }, { details = true })) do
    local details = mark[4] or {}
    local chunks = details.virt_text or {}
    local drawn = vim.tbl_get(chunks, 1, 1) or ''
    for _, item in ipairs((shield.replied(bufnr) or { items = {} }).items) do
      local rest = vim.split(accept.rest(bufnr, suggestion_of(bufnr, item)) or '', '\n', { plain = true })[1] or ''
      if rest ~= '' and vim.endswith(rest, drawn) then
        vim.api.nvim_buf_set_extmark(bufnr, namespace, row, column, {
          id = mark[1],
          virt_text = { { rest, chunks[1] and chunks[1][2] or 'ComplHint' }, unpack(chunks, 2) },
          virt_lines = details.virt_lines,
          virt_text_pos = 'inline',
          hl_mode = 'combine',
        })
        break
      end
    end
  end
end

---@param bufnr integer
function M.dismiss(bufnr)
  vim.lsp.inline_completion.get({
    bufnr = bufnr,
    on_accept = function()
      require('codellama.keys').follow(bufnr)
    end,
  })
end

---@param _ vim.lsp.Client
---@param bufnr integer
function M.attach(_, bufnr)
  vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
  -- Text that does not go on from what is typed would stay until the next reply.
  vim.api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP' }, {
    group = vim.api.nvim_create_augroup(group_name(bufnr), { clear = true }),
    buffer = bufnr,
    callback = function()
      if M.is_visible(bufnr) and not suggested(bufnr) then
        M.dismiss(bufnr)
      end
    end,
  })
end

---@param bufnr integer
function M.detach(bufnr)
  pcall(vim.api.nvim_del_augroup_by_name, group_name(bufnr))
  if vim.api.nvim_buf_is_valid(bufnr) then
    vim.lsp.inline_completion.enable(false, { bufnr = bufnr })
  end
end

---Ask for a suggestion now. Neovim has no function for that; it asks where the cursor moves.
---@param _ vim.lsp.Client
---@param bufnr integer
function M.suggest(_, bufnr)
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = bufnr, modeline = false })
end

---Take a part of what is shown.
---@param bufnr integer
---@param pick codellama.Pick
function M.take(bufnr, pick)
  vim.lsp.inline_completion.get({
    bufnr = bufnr,
    on_accept = function(item)
      local text = item.insert_text
      if type(text) == 'table' then
        text = text.value
      end
      local suggestion = suggested(bufnr, text)
      local left = suggestion and accept.insert(bufnr, suggestion, pick)
      local client = vim.lsp.get_client_by_id(item.client_id)
      if client and left and left ~= '' then
        shield.keep_rest(client, bufnr, left)
      elseif client and left and suggestion then
        require('codellama.inline').taken(bufnr)
        if suggestion.command then
          client:exec_cmd(suggestion.command, { bufnr = bufnr })
        end
      end
      require('codellama.keys').follow(bufnr)
    end,
  })
end

---How many suggestions there are to choose from.
---@param bufnr integer
---@return integer
function M.count(bufnr)
  local replied = shield.replied(bufnr)
  return replied and #replied.items or 0
end

---@param bufnr integer the current buffer
---@param count integer
function M.cycle(bufnr, count)
  vim.lsp.inline_completion.select({ count = count })
  M.make_room(bufnr)
end

return M
