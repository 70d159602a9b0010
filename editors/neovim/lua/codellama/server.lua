---The server's program: where it is, what to say where it is not, and whether its version fits.
local config = require('codellama.config')
local notify = require('codellama.notify')
local process = require('codellama.process')

local M = {}

M.PROGRAM = 'codellama-ls'
---Whether one was started and does not listen yet.
M.is_starting = false
---The oldest server that this plugin works with.
M.NEEDS = '0.1.0'

local PLUGIN = vim.fn.fnamemodify(assert(debug.getinfo(1, 'S')).source:sub(2), ':p:h:h:h')
-- The environment that `M.install` makes where there is neither pipx nor uv.
local OWN = '~/.local/share/codellama-ls/venv'
local ROOT_MARKERS = { '.git', '.hg', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' }

---The command that starts the server: the user's, that of the active environment, on PATH, or where pipx and uv put it.
---The program is named by its whole path: in the folder that is open, there may be another one.
---@return string[]? command nil where there is none
function M.find()
  local cmd = config.options.cmd
  if cmd then
    local path = process.find(cmd[1] or '')
    return path and vim.list_extend({ path }, cmd, 2) or nil
  end
  local environment = vim.env.VIRTUAL_ENV
  local places = {
    environment and vim.fs.joinpath(environment, 'bin', M.PROGRAM),
    environment and vim.fs.joinpath(environment, 'Scripts', M.PROGRAM .. '.exe'),
    M.PROGRAM,
    vim.fs.normalize('~/.local/bin/' .. M.PROGRAM),
    vim.fs.normalize(OWN .. '/bin/' .. M.PROGRAM),
  }
  for index = 1, 5 do
    local place = places[index]
    local path = place and process.find(place)
    if path then
      return { path }
    end
  end
end

---The command that installs the server, by what there is on this machine.
---@param again? boolean Where an older one is replaced.
---@return string
function M.install(again)
  -- An archive of this plugin has the server's wheel in it; else the plugin lies in a clone.
  local wheel = vim.fn.glob(vim.fs.joinpath(PLUGIN, 'server', '*.whl'), true, true)[1] ---@type string?
  local source = ("'%s[engine]'"):format(wheel or vim.fn.fnamemodify(PLUGIN, ':h:h'))
  for _, command in ipairs({ 'uv tool', 'pipx' }) do
    if process.find(command:match('^%S+') or command) then
      return ('%s install%s %s'):format(command, again and ' --force' or '', source)
    end
  end
  -- An environment of its own: into that of the system, pip installs nothing on Debian and its like.
  return ('python3 -m venv %s && %s/bin/python -m pip install %s'):format(OWN, OWN, source)
end

---@return string sentence what to do where there is no server
function M.missing()
  local cmd = config.options.cmd
  if cmd and process.is_relative(cmd[1] or '') then
    local why = '`%s` of `setup{cmd}` would be another program in each folder; write its whole path.'
    return why:format(cmd[1])
  elseif cmd then
    return ('`%s` of `setup{cmd}` cannot be run; install the server with: %s'):format(cmd[1], M.install())
  elseif vim.fn.executable(M.PROGRAM) == 1 then
    local why = 'the only %s on $PATH is in a folder that $PATH does not name by its whole path; install one with: %s'
    return why:format(M.PROGRAM, M.install())
  end
  return ('%s is not installed; install it with: %s'):format(M.PROGRAM, M.install())
end

---Where a buffer's project begins; `on_dir` is called only where the server can run.
---@param bufnr integer
---@param on_dir fun(root?: string)
function M.root(bufnr, on_dir)
  if vim.bo[bufnr].buftype ~= '' or vim.b[bufnr].codellama_chat then
    return
  end
  if not M.find() then
    notify.warn_once(M.missing())
    return
  end
  on_dir(vim.fs.root(bufnr, ROOT_MARKERS))
end

---@param dispatchers vim.lsp.rpc.Dispatchers
---@return vim.lsp.rpc.PublicClient
function M.start(dispatchers)
  local cmd = M.find()
  if not cmd then
    error(M.missing(), 0)
  end
  M.is_starting = true
  return process.without_pythons_variables(function()
    return vim.lsp.rpc.start(cmd, dispatchers, { cwd = process.folder(), env = process.additions() })
  end)
end

---@param version? string what the server says it is
---@return string? problem a sentence where it does not fit this plugin
function M.version_problem(version)
  local have, need = version and vim.version.parse(version), vim.version.parse(M.NEEDS)
  if not have or not need then
    return nil
  end
  if vim.version.lt(have, need) then
    return ('codellama-ls %s is older than this plugin needs (%s); upgrade it with: %s'):format(
      version,
      M.NEEDS,
      M.install(true)
    )
  end
  if have.major > need.major then
    return ('codellama-ls %s is newer than this plugin knows (%s); update the plugin.'):format(version, M.NEEDS)
  end
end

return M
