---What the server gives to read, in a split of its own: the user's window stays as it is.
local M = {}

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
  local text = file:read('*a'):gsub('\r', '')
  file:close()
  local bufnr = vim.api.nvim_create_buf(false, true)
  vim.bo[bufnr].bufhidden = 'wipe'
  vim.b[bufnr].codellama_chat = true
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, vim.split(vim.trim(text), '\n', { plain = true }))
  local windows = require('codellama.chat.windows')
  local window = windows.split(bufnr, true)
  windows.prepare(bufnr, window)
  vim.bo[bufnr].modifiable = false
  require('codellama.chat.keys').for_answer(bufnr)
  return true
end

return M
