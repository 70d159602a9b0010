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

---@class codellama.ReviewKeys Where a change is shown, in normal mode.
---@field accept? string|false Make the hunk at the cursor.
---@field discard? string|false Leave it as it is.
---@field accept_all? string|false
---@field discard_all? string|false
---@field next? string|false
---@field previous? string|false
---@field again? string|false Ask again, with other words.
---@field stop? string|false While it is written: stop.

---@class codellama.NextEditKeys Where the next edit is shown, in normal mode.
---@field accept? string|false Go to it; where the cursor is there, make it.
---@field reject? string|false

---@class codellama.ChatOptions
---@field position? 'right'|'left'|'below'|'above' Where the split opens.
---@field size? integer Its width, or its height where it is above or below.
---@field around? boolean Whether what is around the cursor goes along with a question.

---@class codellama.Options
---@field cmd? string[] What starts the server. Default: `codellama-ls`, looked for where it is usually installed.
---@field filetypes? string[] The file types in which the server runs. Default: all.
---@field settings? table<string, any> Settings of the server, see |codellama-settings|.
---@field inline? codellama.InlineOptions
---@field keys? codellama.Keys|false Keys in insert mode; false: none.
---@field review? codellama.ReviewKeys|false Keys where a change is shown; false: none.
---@field next_edit? codellama.NextEditKeys|false The next edit, and its keys; false: none is shown.
---@field chat? codellama.ChatOptions

---@class codellama.Chosen: codellama.Options The options with the defaults for what is not given.
---@field settings table<string, any>
---@field inline codellama.InlineOptions
---@field keys codellama.Keys|false
---@field review codellama.ReviewKeys|false
---@field next_edit codellama.NextEditKeys|false
---@field chat {position: 'right'|'left'|'below'|'above', size: integer, around: boolean}

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
  review = {
    accept = '<CR>',
    discard = '<BS>',
    accept_all = 'g<CR>',
    discard_all = 'g<BS>',
    next = ']c',
    previous = '[c',
    again = 'g.',
    stop = '<Esc>',
  },
  next_edit = { accept = '<Tab>', reject = '<Esc>' },
  chat = { position = 'right', size = 80, around = true },
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
    if name == 'keys' or name == 'review' or name == 'next_edit' then
      wrong = value ~= false and type(value) ~= 'table' and ('`%s` must be a table or false'):format(name) or nil
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
