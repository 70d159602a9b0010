---A server that ends by itself is started again: soon at first, later and later, and not for ever.
local notify = require('codellama.notify')

local M = {}

---Milliseconds to wait after the first crash; twice as long after each further one.
M.FIRST_DELAY = 500
M.MOST = 5
---Crashes longer ago than this are forgotten.
M.MINUTES = 3

local buffers = {} ---@type table<integer, table<integer, true>> client id -> buffers
local roots = {} ---@type table<integer, string|false>
local crashes = {} ---@type number[] times in ms
local wanted = {} ---@type table<integer, true>

---Remember for whom a server works.
---@param client vim.lsp.Client|{id: integer, root_dir?: string}
---@param bufnr integer
function M.attached(client, bufnr)
  buffers[client.id] = buffers[client.id] or {}
  buffers[client.id][bufnr] = true
  roots[client.id] = client.root_dir or false
end

---Start the server for buffers.
---@param these table<integer, true>
---@param root string|false
local function start(these, root)
  local config = vim.lsp.config['codellama'] ---@diagnostic disable-line: undefined-field (any name)
  if not config or not require('codellama.server').find() then
    return notify.warn(require('codellama.server').missing())
  end
  if not next(these) then
    return vim.lsp.enable('codellama') -- it ended before it was attached to any
  end
  config = vim.deepcopy(config)
  config.root_dir = root or nil
  for bufnr in pairs(these) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      local id = vim.lsp.start(config, { bufnr = bufnr, reuse_client = config.reuse_client })
      if id then
        M.attached({ id = id, root_dir = root or nil }, bufnr)
      end
    end
  end
end

---A server ended.
---@param code integer
---@param signal integer
---@param id integer
function M.ended(code, signal, id)
  local these, root = buffers[id] or {}, roots[id]
  buffers[id], roots[id] = nil, nil
  require('codellama.status').gone(id)
  require('codellama.chat').gone(id)
  require('codellama.edits.work').gone(id)
  local asked = wanted[id]
  wanted[id] = nil
  if asked then
    return start(these, root)
  end
  if (code == 0 and signal == 0) or vim.v.exiting ~= vim.NIL or not vim.lsp.is_enabled('codellama') then
    return
  end
  local now = vim.uv.now()
  crashes = vim.tbl_filter(function(at)
    return now - at < M.MINUTES * 60 * 1000
  end, crashes)
  crashes[#crashes + 1] = now
  if #crashes > M.MOST then
    local said = 'the server ended %d times within %d minutes and stays off; '
      .. ':CodeLlama log may say why, :CodeLlama restart starts it.'
    notify.say(said:format(#crashes, M.MINUTES), vim.log.levels.ERROR)
    M.last = { buffers = these, root = root }
    return
  end
  local delay = math.floor(M.FIRST_DELAY * 2 ^ (#crashes - 1))
  notify.warn(('the server ended unexpectedly; starting it again in %.1f s.'):format(delay / 1000))
  vim.defer_fn(function()
    start(these, root)
  end, delay)
end

---Start servers that stay off, and the running ones anew.
function M.restart()
  crashes = {}
  local clients = vim.lsp.get_clients({ name = 'codellama' })
  for _, client in ipairs(clients) do
    wanted[client.id] = true
    client:stop(true)
  end
  if #clients > 0 then
    return
  end
  if M.last then
    start(M.last.buffers, M.last.root)
    M.last = nil
  else
    vim.lsp.enable('codellama')
  end
end

return M
