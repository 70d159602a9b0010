---Completion where a question is written: slash commands, and after @ the names of files.
local M = {}

---@param words string[]
---@param base string
---@return table[]
local function beginning(words, base)
  local found = {} ---@type table[]
  for _, word in ipairs(words) do
    if vim.startswith(word:lower(), base:lower()) then
      found[#found + 1] = { word = word }
    end
  end
  return found
end

---The file that the user came from, then the others that are open, as a question names them.
---@return string[]
local function files()
  local window = require('codellama.chat.view').source()
  local first = vim.api.nvim_win_is_valid(window) and vim.api.nvim_win_get_buf(window) or -1
  local client = require('codellama.client').get(first > 0 and first or nil)
  local root = client and client.root_dir or vim.fn.getcwd()
  local names = {} ---@type string[]
  for _, bufnr in ipairs(vim.list_extend({ first }, vim.api.nvim_list_bufs())) do
    local path = bufnr > 0 and vim.bo[bufnr].buflisted and vim.bo[bufnr].buftype == '' and vim.api.nvim_buf_get_name(bufnr)
    if path and path ~= '' then
      local name = vim.fs.relpath(root, path) or vim.fs.basename(path)
      name = name:find('%s') and ('@"%s"'):format(name) or '@' .. name
      if not vim.list_contains(names, name) then
        names[#names + 1] = name
      end
    end
  end
  return names
end

---@param base string
---@return table[]
local function commands(base)
  local client = require('codellama.client').get()
  ---@diagnostic disable-next-line: param-type-mismatch (Neovim names the methods of the protocol only)
  local reply = client and client:request_sync('codellama/chat/commands', vim.empty_dict(), 1000)
  local found = {} ---@type table[]
  for _, command in ipairs(reply and reply.result or {}) do
    local word = '/' .. command.name
    if vim.startswith(word, base) then
      found[#found + 1] = { word = word, menu = command.description }
    end
  end
  return found
end

---For 'completefunc'.
---@param find_start 0|1|string
---@param base string
---@return integer|table
function M.complete(find_start, base)
  local column = vim.api.nvim_win_get_cursor(0)[2]
  if find_start == 1 or find_start == '1' then
    local before = vim.api.nvim_get_current_line():sub(1, column)
    local start = before:find('@%S*$') or before:find('/%w*$')
    return start and start - 1 or -3
  end
  return vim.startswith(base, '@') and beginning(files(), base) or commands(base)
end

---Complete in a buffer; the menu comes by itself with the first character of a word.
---@param bufnr integer
function M.attach(bufnr)
  vim.bo[bufnr].completefunc = "v:lua.require'codellama.chat.names'.complete"
  vim.bo[bufnr].completeopt = 'menuone,noselect'
  for _, sign in ipairs({ '@', '/' }) do
    vim.keymap.set('i', sign, function()
      local column = vim.api.nvim_win_get_cursor(0)[2]
      local before = vim.api.nvim_get_current_line():sub(1, column)
      local begins = sign == '/' and before == '' or sign == '@' and before:find('%S$') == nil
      return begins and sign .. '<C-x><C-u>' or sign
    end, { buffer = bufnr, expr = true, desc = 'Code Llama: names' })
  end
end

return M
