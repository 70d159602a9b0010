---The turns of the conversation on the screen: where they are, and which of the server's each one is.
local blocks = require('codellama.chat.blocks')
local view = require('codellama.chat.view')

local M = {}

---@class codellama.Turn
---@field role 'user'|'assistant'
---@field mark integer The extmark at which its text begins.
---@field position? integer Its number in the server's conversation; nil where the server does not have it.
---@field text? string What the user asked.
---@field attached? string[] What was sent with it, a line each.

local namespace = vim.api.nvim_create_namespace('codellama.chat.turns')
local HEADINGS = { user = '## You', assistant = '## Code Llama' }

local turns = {} ---@type codellama.Turn[]
local owner ---@type integer? the buffer that they are in

---@return integer? log
local function current()
  local log = view.log()
  if log ~= owner then
    owner, turns = log, {} -- the user has wiped the buffer out
  end
  return log
end

---@param log integer
---@param turn codellama.Turn
---@return integer row at which its text begins, from 0
local function row_of(log, turn)
  return vim.api.nvim_buf_get_extmark_by_id(log, namespace, turn.mark, {})[1] or 0
end

---@param role 'user'|'assistant'
---@param position? integer
local function begin(role, position)
  local log = current()
  if log then
    view.append((view.is_empty() and '' or '\n\n') .. HEADINGS[role] .. '\n\n')
    local row = vim.api.nvim_buf_line_count(log) - 1
    local mark = vim.api.nvim_buf_set_extmark(log, namespace, row, 0, { right_gravity = false })
    turns[#turns + 1] = { role = role, mark = mark, position = position }
  end
end

---Begin an answer.
---@param position? integer
function M.answer(position)
  begin('assistant', position)
end

---End the answer: a code block that is still open is closed, so that it does not swallow what follows.
function M.finish()
  local log, turn = current(), turns[#turns]
  if log and turn then
    local lines = vim.api.nvim_buf_get_lines(log, row_of(log, turn), -1, false)
    local fence = blocks.open_fence(lines)
    if fence then
      view.append((lines[#lines] == '' and '' or '\n') .. fence)
    end
  end
end

---Add a question.
---@param text string
---@param attached string[] what was sent with it
---@param position? integer
function M.question(text, attached, position)
  begin('user', position)
  view.append(text)
  M.finish()
  local turn = turns[#turns]
  if turn then
    turn.text, turn.attached = text, attached
    view.append(#attached > 0 and '\n\n> ' .. table.concat(attached, '\n> ') or '')
  end
end

---How lines that were sent with a question are named on the screen.
---@param name string
---@param first integer from 1
---@param last integer
---@return string
function M.attached(name, first, last)
  return ('with %s, lines %d to %d'):format(name, first, last)
end

---The server told the position of the answer that is being written, which is that after its question.
---@param position integer
function M.placed(position)
  for back = 0, 1 do
    local turn = turns[#turns - back]
    if turn then
      turn.position = position - back
    end
  end
end

---@return codellama.Turn?
function M.last()
  current()
  return turns[#turns]
end

---The question of a line of the conversation: the one that it is in or answers, else the first.
---@param line integer from 1
---@return codellama.Turn?
function M.question_at(line)
  local log = current()
  local found ---@type codellama.Turn?
  for _, turn in ipairs(turns) do
    -- The heading is two lines above the text.
    if log and turn.role == 'user' and (not found or row_of(log, turn) - 2 < line) then
      found = turn
    end
  end
  return found
end

---Remove a turn and what follows it.
---@param from codellama.Turn
function M.drop(from)
  local log = current()
  for index, turn in ipairs(turns) do
    if log and turn == from then
      -- Above the text are an empty line, the heading, and an empty line where another turn precedes.
      view.cut(math.max(0, row_of(log, turn) - 3))
      turns = vim.list_slice(turns, 1, index - 1)
      return
    end
  end
end

---Forget the conversation on the screen.
function M.clear()
  local log = current()
  if log then
    view.cut(0)
    vim.api.nvim_buf_clear_namespace(log, namespace, 0, -1)
  end
  turns = {}
end

---Lines at which the texts of turns begin, from 1.
---@return integer[]
function M.lines()
  local log = current()
  return log and vim.tbl_map(function(turn)
    return row_of(log, turn) + 1
  end, turns) or {}
end

return M
