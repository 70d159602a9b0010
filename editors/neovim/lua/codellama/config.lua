---What the user chose, over the defaults.
local M = {}

---@class codellama.Keys
---@field accept? string|false Take the whole suggestion.
---@field accept_word? string|false
---@field accept_line? string|false
---@field next? string|false
---@field previous? string|false
---@field dismiss? string|false
---@field suggest? string|false Ask for a suggestion now.

---@class codellama.InlineOptions
---@field enabled? boolean Whether suggestions are shown at the start.
---@field method? 'auto'|'builtin'|'own' Neovim's inline completion (0.12) or this plugin's; `auto`: the first if any.

---@class codellama.ChatOptions
---@field position? 'right'|'left'|'below'|'above' Where the split opens.
---@field size? integer Its width, or its height where it is above or below.

---@class codellama.Options
---@field cmd? string[] What starts the server. Default: `codellama-ls`, looked for where it is usually installed.
---@field filetypes? string[] The file types in which the server runs. Default: all.
---@field settings? table<string, any> Settings of the server, see |codellama-settings|.
---@field inline? codellama.InlineOptions
---@field keys? codellama.Keys|false Keys in insert mode; false: none.
---@field chat? codellama.ChatOptions

---@class codellama.Chosen: codellama.Options The options with the defaults for what is not given.
---@field settings table<string, any>
---@field inline codellama.InlineOptions
---@field keys codellama.Keys|false
---@field chat {position: 'right'|'left'|'below'|'above', size: integer}

---@type codellama.Chosen
M.defaults = {
  settings = {},
  inline = { enabled = true, method = 'auto' },
  keys = {
    accept = '<Tab>',
    accept_word = '<M-w>',
    accept_line = '<M-l>',
    next = '<M-n>',
    previous = '<M-p>',
    dismiss = '<C-]>',
    suggest = '<M-\\>',
  },
  chat = { position = 'right', size = 80 },
}

---@type codellama.Chosen
M.options = vim.deepcopy(M.defaults)

local TYPES = { cmd = 'table', filetypes = 'table', settings = 'table', inline = 'table', chat = 'table' }

---Take the user's options.
---@param given? codellama.Options
---@return string[] problems one sentence for each option that cannot be used
function M.set(given)
  local problems = {} ---@type string[]
  local usable = vim.deepcopy(given or {})
  for name, value in pairs(usable) do
    local wrong ---@type string?
    if name == 'keys' then
      wrong = value ~= false and type(value) ~= 'table' and '`keys` must be a table or false' or nil
    elseif not TYPES[name] then
      wrong = ('there is no option `%s`'):format(name)
    elseif type(value) ~= TYPES[name] then
      wrong = ('`%s` must be a table'):format(name)
    elseif name == 'cmd' and type(value[1]) ~= 'string' then
      wrong = '`cmd` must be a list of texts'
    end
    if wrong then
      problems[#problems + 1] = wrong .. '; it is ignored (:help codellama-setup).'
      usable[name] = nil
    end
  end
  M.options = vim.tbl_deep_extend('force', M.defaults, usable)
  return problems
end

return M
