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
    local suggestion = {
      row = item.range.start.line,
      column = positions.byte_column(bufnr, item.range.start, replied.encoding),
      text = item.insertText,
      command = item.command,
    }
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

---@param bufnr integer
function M.dismiss(bufnr)
  vim.lsp.inline_completion.get({ bufnr = bufnr, on_accept = function() end })
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
      if left and left ~= '' then
        shield.keep_rest(bufnr, left)
      elseif left and suggestion and suggestion.command then
        assert(vim.lsp.get_client_by_id(item.client_id)):exec_cmd(suggestion.command, { bufnr = bufnr })
      end
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

---@param _ integer
---@param count integer
function M.cycle(_, count)
  vim.lsp.inline_completion.select({ count = count })
end

return M
