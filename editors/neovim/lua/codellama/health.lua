---:checkhealth codellama
local M = {}

local health = vim.health

---Settings that say where the models are -> options of `codellama-ls doctor`.
local OPTIONS = {
  model = '--model',
  engineUrl = '--engine-url',
  tokenizer = '--tokenizer',
  remoteModel = '--remote-model',
  caFile = '--ca-file',
  chatModel = '--chat-model',
  chatEngineUrl = '--chat-engine-url',
  chatRemoteModel = '--chat-remote-model',
  chatTokenizer = '--chat-tokenizer',
}

---@param cmd string[]
local function check_machine(cmd)
  local process = require('codellama.process')
  local doctor = vim.list_extend({ unpack(cmd) }, { 'doctor', '--json' })
  local env = process.additions()
  local known = vim.lsp.config['codellama'] ---@diagnostic disable-line: undefined-field (any name)
  local chosen = vim.tbl_get(known or {}, 'settings', 'codellama') or {} ---@type table<string, any>
  for name, option in pairs(OPTIONS) do
    local value = chosen[name]
    if type(value) == 'string' and value ~= '' then
      vim.list_extend(doctor, { option, value })
    end
  end
  if chosen.allowPlainHttp == true then
    table.insert(doctor, '--allow-plain-http')
  end
  if type(chosen.engineToken) == 'string' then
    env.CODELLAMA_LS_ENGINE_TOKEN = chosen.engineToken -- other users of the machine can read a command line
  end
  local options = { text = true, cwd = process.folder(), env = env } ---@type vim.SystemOpts
  local ok, result = pcall(function()
    return process
      .without_pythons_variables(function()
        return vim.system(doctor, options)
      end)
      :wait(30000)
  end)
  local read, checks = pcall(vim.json.decode, ok and result.stdout or '')
  if not read or type(checks) ~= 'table' then
    return health.warn('`codellama-ls doctor` gave no answer within 30 s', { 'Run it in a terminal.' })
  end
  ---@cast checks {name: string, found: string, ok: boolean, mend: string}[]
  for _, check in ipairs(checks) do
    local said = ('%s: %s'):format(check.name, check.found)
    if check.ok then
      health.ok(said)
    elseif check.mend == '' then
      health.warn(said)
    else
      health.warn(said, { check.mend })
    end
  end
end

function M.check()
  local server, inline = require('codellama.server'), require('codellama.inline')
  health.start('Code Llama: Neovim')
  local version = tostring(vim.version()) ---@diagnostic disable-line: call-non-callable
  if vim.fn.has('nvim-0.11') == 1 then
    health.ok('Neovim ' .. version)
  else
    health.error('Neovim ' .. version, { 'Neovim 0.11 or newer is needed.' })
  end
  local drawn_by = inline.method() == 'builtin' and "Neovim's own inline completion" or 'ghost text of this plugin'
  health.ok(drawn_by .. ' is used')
  if not vim.lsp.is_enabled('codellama') then
    health.warn('the server is not enabled', { "Call require('codellama').setup(), or vim.lsp.enable('codellama')." })
  end

  health.start('Code Llama: server')
  local cmd = server.find()
  if not cmd then
    return health.error(server.missing())
  end
  health.ok('found: ' .. table.concat(cmd, ' '))
  local clients = vim.lsp.get_clients({ name = 'codellama' })
  if #clients == 0 then
    health.info('no server runs; one starts with the first file that is opened')
  end
  for _, client in ipairs(clients) do
    local problem = server.version_problem(vim.tbl_get(client, 'server_info', 'version'))
    if problem then
      health.warn(problem)
    end
    local buffers = vim.tbl_count(client.attached_buffers)
    local files = buffers == 1 and 'one file' or ('%d files'):format(buffers)
    health.ok(('running in %s for %s'):format(client.root_dir or 'no folder', files))
  end
  if #clients > 0 then
    health.info(require('codellama.status').sentence())
  end

  health.start('Code Llama: this machine')
  check_machine(cmd)
end

return M
