---What an edit of the server's changes in a buffer, as runs of whole lines.
local M = {}

---@class codellama.Hunk
---@field first integer The first of the old lines, from 0; without any, the line above which the new ones go.
---@field old string[]
---@field new string[]

---@class codellama.Target A document that an edit changes.
---@field uri string
---@field edits lsp.TextEdit[]

---The lines after some edits.
---@param lines string[]
---@param edits lsp.TextEdit[]
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return string[]
local function applied(lines, edits, encoding)
  local scratch = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(scratch, 0, -1, false, lines)
  vim.lsp.util.apply_text_edits(edits, scratch, encoding)
  local after = vim.api.nvim_buf_get_lines(scratch, 0, -1, false)
  vim.api.nvim_buf_delete(scratch, { force = true })
  if #lines == 1 and lines[1] == '' and #after > 1 and after[#after] == '' then
    after[#after] = nil -- of an empty file, what stands behind its last line is none
  end
  return after
end

---@param lines string[]
---@return string
local function text(lines)
  return table.concat(lines, '\n') .. '\n'
end

---@alias codellama.Indices [integer, integer, integer, integer] the start, from 1, and the number of lines in both texts

---@param before string[]
---@param after string[]
---@return codellama.Hunk[]
local function between(before, after)
  ---@diagnostic disable-next-line: deprecated (the new name is not in 0.11)
  local found = vim.diff(text(before), text(after), { result_type = 'indices' }) --[[@as codellama.Indices[] ]]
  return vim.tbl_map(function(each)
    local start, count, new_start, new_count = each[1], each[2], each[3], each[4]
    return {
      first = count > 0 and start - 1 or start,
      old = vim.list_slice(before, start, start + count - 1),
      new = vim.list_slice(after, new_start, new_start + new_count - 1),
    }
  end, found)
end

---Where a hunk is by now.
---@param hunk codellama.Hunk
---@param changes codellama.Hunk[] what the user did meanwhile
---@return codellama.Hunk? moved nil where they changed its lines
local function moved(hunk, changes)
  local by = 0
  for _, change in ipairs(changes) do
    if change.first + #change.old <= hunk.first then
      by = by + #change.new - #change.old
    elseif change.first < hunk.first + #hunk.old then
      return nil
    end
  end
  return { first = hunk.first + by, old = hunk.old, new = hunk.new }
end

---The runs of lines that edits change in a buffer.
---@param bufnr integer
---@param base string[] the lines that the edits are for
---@param edits lsp.TextEdit[]
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return codellama.Hunk[]
---@return integer lost how many there are that do not fit any more
function M.of(bufnr, base, edits, encoding)
  local changes = between(base, vim.api.nvim_buf_get_lines(bufnr, 0, -1, false))
  local found, lost = {}, 0 ---@type codellama.Hunk[], integer
  for _, hunk in ipairs(between(base, applied(base, edits, encoding))) do
    local now = moved(hunk, changes)
    found[#found + 1] = now
    lost = lost + (now and 0 or 1)
  end
  return found, lost
end

---The document that a workspace edit changes: the server's are of one.
---@param edit lsp.WorkspaceEdit
---@return codellama.Target?
function M.target(edit)
  for uri, edits in pairs(edit.changes or {}) do
    return { uri = uri, edits = edits }
  end
  for _, change in ipairs(edit.documentChanges or {}) do
    if change.textDocument then
      return { uri = change.textDocument.uri, edits = change.edits }
    end
  end
end

return M
