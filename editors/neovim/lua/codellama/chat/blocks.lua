---Code blocks in Markdown that is still being written: where they are, and folds for them.
local M = {}

---@class codellama.Block
---@field first integer Line of the opening fence, from 1.
---@field last integer Line of the closing fence, or the last line where it is not closed yet.
---@field closed boolean
---@field language string
---@field code string[] Without the indentation of the fence.

---@param lines string[]
---@param first? integer where to begin, from 1
---@return codellama.Block[]
function M.find(lines, first)
  local found = {} ---@type codellama.Block[]
  local block, fence, indent ---@type codellama.Block?, string?, string?
  for number = first or 1, #lines do
    local line = lines[number]
    if block and fence and indent then
      -- Not one that is indented further (CommonMark 0.31, 4.5): it belongs to the code, a docstring's example say.
      local before, closing = line:match('^( *)(' .. fence:sub(1, 1) .. '+)%s*$')
      if closing and #closing >= #fence and #before <= #indent + 3 then
        block.last, block.closed = number, true
        block, fence = nil, nil
      else
        block.last = number
        block.code[#block.code + 1] = line:sub(1, #indent) == indent and line:sub(#indent + 1) or line
      end
    else
      local space, opening, info = line:match('^(%s*)(```+)([^`]*)$')
      if not opening then
        space, opening, info = line:match('^(%s*)(~~~+)(.*)$')
      end
      if opening then
        indent, fence = space, opening
        local language = vim.trim(info or ''):match('^%S*') or ''
        block = { first = number, last = number, closed = false, language = language, code = {} }
        found[#found + 1] = block
      end
    end
  end
  return found
end

---The block at a line, else the last one above it, else the first one.
---@param bufnr integer
---@param number integer from 1
---@return codellama.Block?
function M.near(bufnr, number)
  local near ---@type codellama.Block?
  for _, block in ipairs(M.find(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false))) do
    if block.first <= number or not near then
      near = block
    end
  end
  return near
end

---What closes a text that ends within a block; nil where nothing has to be closed.
---@param lines string[]
---@return string? fence
function M.open_fence(lines)
  local found = M.find(lines)
  local last = found[#found]
  return last and not last.closed and (lines[last.first] or ''):match('[`~]+') or nil
end

---The levels of the buffer that was folded last.
local known = { bufnr = 0, tick = -1, levels = {} } ---@type {bufnr: integer, tick: integer, levels: table<integer, string>}

---The fold level of a line of the current buffer, for 'foldexpr'.
---@return string
function M.fold()
  local bufnr = vim.api.nvim_get_current_buf()
  local tick = vim.api.nvim_buf_get_changedtick(bufnr)
  if known.bufnr ~= bufnr or known.tick ~= tick then
    known = { bufnr = bufnr, tick = tick, levels = {} }
    for _, block in ipairs(M.find(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false))) do
      for number = block.first, block.last do
        known.levels[number] = '1'
      end
      known.levels[block.first] = '>1'
    end
  end
  return known.levels[vim.v.lnum] or '0'
end

---What stands for a closed fold.
---@return string
function M.fold_text()
  local first = vim.fn.getline(vim.v.foldstart)
  return ('%s … %d lines'):format(first, math.max(0, vim.v.foldend - vim.v.foldstart - 1))
end

return M
