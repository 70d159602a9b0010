---Completion of slash commands where a question is written: i_CTRL-X_CTRL-U.
local M = {}

---For 'completefunc'.
---@param find_start 0|1|string
---@param base string
---@return integer|table
function M.complete(find_start, base)
  local column = vim.api.nvim_win_get_cursor(0)[2]
  if find_start == 1 or find_start == '1' then
    local start = vim.api.nvim_get_current_line():sub(1, column):find('/%w*$')
    return start and start - 1 or -3
  end
  local client = require('codellama.client').get()
  ---@diagnostic disable-next-line: param-type-mismatch (Neovim names the methods of the protocol only)
  local reply = client and client:request_sync('codellama/chat/commands', vim.empty_dict(), 1000)
  local found = {} ---@type table[]
  for _, command in ipairs(reply and reply.result or {}) do
    local word = '/' .. command.name
    if vim.startswith(word, base) then
      found[#found + 1] = { word = word, menu = command.instruction }
    end
  end
  return found
end

return M
