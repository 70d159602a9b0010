---Code Llama in Neovim: suggestions as you type, code actions and chat, from a model on your own machine.
---See :help codellama.
local M = {}

---Where nobody else has done so, such as a manager of plugins, have `:help codellama` found.
local function index_help()
  local folder = vim.fs.joinpath(vim.fs.dirname(assert(debug.getinfo(1, 'S')).source:sub(2)), '../../doc')
  if not vim.uv.fs_stat(vim.fs.joinpath(folder, 'tags')) then
    pcall(vim.cmd.helptags, vim.fs.normalize(folder))
  end
end

---Take options, the default keys, and start the server where it is needed.
---@param options? codellama.Options
function M.setup(options)
  local config, notify = require('codellama.config'), require('codellama.notify')
  if vim.fn.has('nvim-0.11') == 0 then
    return notify.warn('Neovim 0.11 or newer is needed.')
  end
  for _, problem in ipairs(config.set(options)) do
    notify.warn(problem)
  end
  local chosen = config.options
  ---@type vim.lsp.Config
  local extra = {
    settings = { codellama = next(chosen.settings) and chosen.settings or vim.empty_dict() },
    init_options = { codellama = next(chosen.settings) and chosen.settings or vim.empty_dict() },
    filetypes = chosen.filetypes,
  }
  vim.lsp.config('codellama', extra)
  require('codellama.keys').set(chosen.keys)
  vim.lsp.enable('codellama')
  index_help()
end

---A few words on the state of the model, for 'statusline': `%{v:lua.require'codellama'.statusline()}`.
---@return string
function M.statusline()
  return require('codellama.status').line()
end

---The state of the model, as the server tells it; the autocommand `User CodeLlamaStatus` comes with each change.
---@return codellama.Status?
function M.status()
  return require('codellama.status').get()
end

---Turn suggestions on or off.
---@param on? boolean nil: the other way round
---@param bufnr? integer nil: everywhere
function M.enable(on, bufnr)
  require('codellama.inline').enable(on, bufnr)
end

---Take the whole suggestion, the next word or the next line of it. True where there was one; may be called by an
---expression mapping.
---@return boolean
function M.accept()
  return require('codellama.inline').accept()
end

---@return boolean
function M.accept_word()
  return require('codellama.inline').accept_word()
end

---@return boolean
function M.accept_line()
  return require('codellama.inline').accept_line()
end

---@return boolean
function M.dismiss()
  return require('codellama.inline').dismiss()
end

---Ask for a suggestion at the cursor now, also where they are off. True where there is a server to ask.
---@return boolean
function M.suggest()
  return require('codellama.inline').suggest()
end

---Change what is at the cursor in your own words; nil: they are asked for.
---@param instruction? string
function M.edit(instruction)
  require('codellama.edits').edit(instruction or '')
end

---Ask in the chat.
---@param question? string nil: open the chat only
function M.chat(question)
  require('codellama.chat').open({ question = question })
end

return M
