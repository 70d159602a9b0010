---One clear sentence to the user.
local M = {}

local shown_once = {} ---@type table<string, true>

---@param sentence string
---@param level? integer one of vim.log.levels; default INFO
function M.say(sentence, level)
  vim.notify('Code Llama: ' .. sentence, level or vim.log.levels.INFO, { title = 'Code Llama' })
end

---@param sentence string
function M.warn(sentence)
  M.say(sentence, vim.log.levels.WARN)
end

---Warn of this once in a session.
---@param sentence string
function M.warn_once(sentence)
  if not shown_once[sentence] then
    shown_once[sentence] = true
    M.warn(sentence)
  end
end

return M
