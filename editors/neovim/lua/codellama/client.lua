---The language client: its configuration for |vim.lsp.enable()|, and what happens when it attaches or ends.
local notify = require('codellama.notify')
local server = require('codellama.server')

local M = {}

M.NAME = 'codellama'

---@return table<string, lsp.Handler>
local function handlers()
  return {
    ['codellama/status'] = function(_, params, ctx)
      require('codellama.status').told(ctx.client_id, params)
    end,
    ['$/progress'] = function(err, params, ctx, conf)
      -- Partial results are no work-done progress: they would only disturb who listens to that.
      local ours = require('codellama.chat').on_progress(params) or require('codellama.edits.work').on_progress(params)
      if not ours then
        return vim.lsp.handlers['$/progress'](err, params, ctx, conf)
      end
    end,
    ['window/showMessage'] = function(_, params)
      local level = ({ 'ERROR', 'WARN', 'INFO', 'INFO', 'DEBUG' })[params.type] or 'INFO'
      vim.notify(params.message, vim.log.levels[level], { title = 'Code Llama' })
    end,
    ['window/showDocument'] = function(err, params, ctx, conf)
      if require('codellama.answer').show(params) then
        return { success = true }
      end
      return vim.lsp.handlers['window/showDocument'](err, params, ctx, conf)
    end,
    ['workspace/applyEdit'] = function(err, params, ctx, conf)
      local reason = require('codellama.shield').why_not_writable(params.edit)
      if reason then
        return { applied = false, failureReason = reason }
      end
      return vim.lsp.handlers['workspace/applyEdit'](err, params, ctx, conf)
    end,
  }
end

---@return vim.lsp.Config
function M.config()
  M.listen()
  return {
    cmd = server.start,
    root_dir = server.root,
    -- Neovim 0.11 does not announce this by itself.
    capabilities = { textDocument = { inlineCompletion = { dynamicRegistration = false } } },
    handlers = handlers(),
    on_exit = function(code, signal, id)
      vim.schedule(function()
        server.is_starting = false
        require('codellama.restart').ended(code, signal, id)
      end)
    end,
  }
end

---@param client vim.lsp.Client
---@param bufnr integer
local function attached(client, bufnr)
  server.is_starting = false
  require('codellama.shield').install(client)
  require('codellama.restart').attached(client, bufnr)
  require('codellama.inline').attached(client, bufnr)
  require('codellama.next_edit').attached(client, bufnr)
  local problem = server.version_problem(vim.tbl_get(client, 'server_info', 'version'))
  if problem then
    notify.warn_once(problem)
  end
end

---Follow where clients attach and detach.
function M.listen()
  local group = vim.api.nvim_create_augroup('codellama.client', { clear = true })
  require('codellama.yanks').listen(group)
  vim.api.nvim_create_autocmd('LspAttach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == M.NAME then
        attached(client, event.buf)
      end
    end,
  })
  vim.api.nvim_create_autocmd('LspDetach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == M.NAME then
        require('codellama.inline').detached(event.buf)
        require('codellama.next_edit').detached(event.buf)
      end
    end,
  })
end

---A request of the server's own.
---@param client vim.lsp.Client
---@param method string without `codellama/`
---@param params table
---@param handler lsp.Handler
---@return boolean sent
---@return integer? request
function M.ask(client, method, params, handler)
  ---@diagnostic disable-next-line: param-type-mismatch (Neovim names the methods of the protocol only)
  return client:request('codellama/' .. method, params, handler)
end

---The client of a buffer, or where the buffer has none, any.
---@param bufnr? integer
---@return vim.lsp.Client?
function M.get(bufnr)
  local own = bufnr and vim.lsp.get_clients({ name = M.NAME, bufnr = bufnr })[1]
  return own or vim.lsp.get_clients({ name = M.NAME })[1]
end

---The client of a buffer; the user is told where there is none.
---@param bufnr? integer the buffer that it must be attached to; nil: any
---@return vim.lsp.Client?
function M.need(bufnr)
  local client = M.get(bufnr)
  if client and (not bufnr or client.attached_buffers[bufnr]) then
    return client
  end
  if not server.find() then
    notify.warn(server.missing())
  elseif server.is_starting then
    notify.warn('the server is starting; try again in a moment.')
  else
    notify.warn('the server does not run for this buffer; :checkhealth codellama says why.')
  end
end

return M
