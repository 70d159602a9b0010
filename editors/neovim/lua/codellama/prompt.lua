---What the model would be asked here, and what of the user's other work is in it.
local notify = require('codellama.notify')
local positions = require('codellama.positions')

local M = {}

---Show it in a split of its own.
function M.show()
  local bufnr = vim.api.nvim_get_current_buf()
  local client = require('codellama.client').need(bufnr)
  if not client then
    return
  end
  local row, column = positions.cursor()
  local place = {
    uri = vim.uri_from_bufnr(bufnr),
    position = positions.position(bufnr, row, column, client.offset_encoding),
  }
  local params = { command = 'codellama.prompt', arguments = { place } }
  client:request('workspace/executeCommand', params, function(err, prompt)
    if err then
      return notify.warn(err.message)
    end
    local shown = vim.api.nvim_create_buf(false, true)
    vim.bo[shown].bufhidden = 'wipe'
    vim.api.nvim_buf_set_lines(shown, 0, -1, false, vim.split(prompt.report, '\n', { plain = true }))
    vim.bo[shown].modifiable = false
    require('codellama.chat.windows').split(shown, true)
  end, bufnr)
end

return M
