---What the server gives to read, in a split of its own: the user's window stays as it is.
local M = {}

---@class codellama.Reading A text that is being written.
---@field private bufnr integer
local Reading = {}
Reading.__index = Reading

---@param bufnr integer
---@param change fun()
local function changing(bufnr, change)
  if vim.api.nvim_buf_is_valid(bufnr) then
    vim.bo[bufnr].modifiable = true
    change()
    vim.bo[bufnr].modifiable = false
  end
end

---@param text string
---@return string[]
local function lines_of(text)
  return vim.split(text:gsub('\r', ''), '\n', { plain = true })
end

---The next words of it.
---@param text string
function Reading:append(text)
  changing(self.bufnr, function()
    vim.api.nvim_buf_set_text(self.bufnr, -1, -1, -1, -1, lines_of(text))
  end)
end

---All of it, or where it was stopped, that.
---@param title string
---@param text? string
function Reading:finish(title, text)
  if not text then
    return self:append('\n\n*Stopped.*')
  end
  changing(self.bufnr, function()
    vim.api.nvim_buf_set_lines(self.bufnr, 0, -1, false, lines_of(vim.trim(('# %s\n\n%s'):format(title, text))))
  end)
end

---@param text string
---@return integer bufnr
local function split(text)
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.bo[bufnr].bufhidden = 'wipe'
  vim.b[bufnr].codellama_chat = true
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines_of(text))
  local windows = require('codellama.chat.windows')
  local window = windows.split(bufnr, true)
  windows.prepare(bufnr, window)
  vim.bo[bufnr].modifiable = false
  require('codellama.chat.keys').for_answer(bufnr)
  return bufnr
end

---Show an answer while it is written.
---@param title string
---@return codellama.Reading
function M.begin(title)
  return setmetatable({ bufnr = split(('# %s\n\n'):format(title)) }, Reading)
end

---@param params lsp.ShowDocumentParams
---@return boolean shown whether it was an answer
function M.show(params)
  local path = params.external ~= true and params.uri:match('^file:') and vim.uri_to_fname(params.uri)
  local folder = path and vim.fs.basename(vim.fs.dirname(path)) or ''
  if not path or not folder:find('^codellama%-') or not path:find('%.md$') then
    return false
  end
  local file = io.open(path, 'r')
  if not file then
    return false
  end
  split(vim.trim(file:read('*a')))
  file:close()
  return true
end

return M
