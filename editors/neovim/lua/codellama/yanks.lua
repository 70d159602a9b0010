---What is yanked is told the server: it is about to be put somewhere, or to be written likewise.
local M = {}

-- More is no piece of code that one copies to go by.
local MOST_LINES, MOST_BYTES = 60, 2000

---Tell the clients of the current buffer of a text that was yanked in it. Registers and the system's clipboard are not
---looked at.
local function yanked()
  local event, bufnr = vim.v.event, vim.api.nvim_get_current_buf()
  local lines = event.regcontents
  if event.operator ~= 'y' or type(lines) ~= 'table' or #lines > MOST_LINES then
    return
  end
  local text = table.concat(lines, '\n') .. (event.regtype == 'V' and '\n' or '')
  if #text > MOST_BYTES then
    return
  end
  for _, client in ipairs(vim.lsp.get_clients({ name = 'codellama', bufnr = bufnr })) do
    if vim.tbl_get(client, 'server_capabilities', 'experimental', 'codellama/copied') then
      local params = { text = text, uri = vim.uri_from_bufnr(bufnr), languageId = vim.bo[bufnr].filetype }
      ---@diagnostic disable-next-line: param-type-mismatch (Neovim names the methods of the protocol only)
      client:notify('codellama/copied', params)
    end
  end
end

---@param group integer the augroup
function M.listen(group)
  vim.api.nvim_create_autocmd('TextYankPost', { group = group, callback = yanked })
end

return M
