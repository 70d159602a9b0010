---What the model does for the user in a buffer: what comes of it while it writes, and what ends it.
local notify = require('codellama.notify')

local M = {}

---@class codellama.Work
---@field client vim.lsp.Client
---@field bufnr integer
---@field title string
---@field base string[] The lines of the buffer when it was asked.
---@field message string How far it is, in a few words.
---@field hunks codellama.Hunk[] What there is of an edit.
---@field row integer Where it was asked for, from 0.
---@field token string
---@field request? integer
---@field answer? codellama.Reading What there is of an answer to read.

---Of what was asked before, for `again`.
---@type table<integer, {params: table, title: string, mark: integer}>
local asked = {}
local working = {} ---@type table<string, codellama.Work> by token
local count = 0
local namespace = vim.api.nvim_create_namespace('codellama.asked')

---Actions whose answer is read, and changes nothing.
local READS = { explain = true, ['explain-diagnostic'] = true, translate = true }

-- What the title says of the keys.
local DECIDING = { { 'accept_all', 'accept %s' }, { 'discard_all', 'discard %s' }, { 'again', 'again %s' } }
local BY_HUNK = {
  { 'accept', 'accept %s' },
  { 'accept_all', 'all %s' },
  { 'discard', 'discard %s' },
  { 'discard_all', 'all %s' },
  { 'again', 'again %s' },
}
local ALL = { 'accept', 'discard', 'accept_all', 'discard_all', 'next', 'previous', 'again' }

---What is being worked on in a buffer.
---@param bufnr integer
---@return codellama.Work?
function M.of(bufnr)
  for _, work in pairs(working) do
    if work.bufnr == bufnr then
      return work
    end
  end
end

---@return boolean
function M.is_running()
  return next(working) ~= nil
end

---@param work codellama.Work
local function draw(work)
  if work.answer or not vim.api.nvim_buf_is_loaded(work.bufnr) then
    return
  end
  local note = ('%s  %s'):format(work.message, require('codellama.edits.keys').help({ { 'stop', '%s stops' } }))
  require('codellama.edits.review').show(
    work.bufnr,
    { title = work.title, hunks = work.hunks, note = note, row = work.row }
  )
end

---@param work codellama.Work
local function finish(work)
  working[work.token] = nil
  require('codellama.edits.review').close(work.bufnr)
  require('codellama.status').refresh()
end

---@param work codellama.Work
---@param uri string
---@return integer bufnr of the document, in a window
local function opened(work, uri)
  local bufnr = vim.uri_to_bufnr(uri)
  vim.fn.bufload(bufnr)
  vim.bo[bufnr].buflisted = true
  if #vim.fn.win_findbuf(bufnr) == 0 and bufnr ~= work.bufnr then
    vim.fn.mkdir(vim.fs.dirname(vim.uri_to_fname(uri)), 'p')
    vim.api.nvim_open_win(bufnr, true, { split = 'below', win = 0 })
  end
  return bufnr
end

---Show a whole edit, to be decided on.
---@param work codellama.Work
---@param edit lsp.WorkspaceEdit
---@param problem string
local function propose(work, edit, problem)
  local target = require('codellama.edits.hunks').target(edit)
  if not target then
    return
  elseif not vim.api.nvim_buf_is_loaded(work.bufnr) then
    return notify.warn('the file was closed meanwhile, so nothing was changed.')
  end
  local bufnr = opened(work, target.uri)
  local base = bufnr == work.bufnr and work.base or vim.api.nvim_buf_get_lines(bufnr, 0, -1, false)
  local hunks, lost = require('codellama.edits.hunks').of(bufnr, base, target.edits, work.client.offset_encoding)
  if lost > 0 then
    notify.warn(('you changed the same lines meanwhile: %d of %d hunks were left out.'):format(lost, lost + #hunks))
  end
  if #hunks == 0 then
    return
  end
  local keys = require('codellama.edits.keys')
  keys.take(bufnr, ALL)
  require('codellama.edits.review').show(bufnr, {
    title = work.title,
    hunks = hunks,
    note = keys.help(#hunks > 1 and BY_HUNK or DECIDING),
    problem = problem,
    row = work.row,
  })
end

---@param work codellama.Work
---@param err? lsp.ResponseError
---@param result any
local function ended(work, err, result)
  if working[work.token] ~= work then
    return -- stopped meanwhile
  end
  finish(work)
  if err then
    notify.warn(err.message)
  elseif type(result) ~= 'table' then
    return -- stopped by the editor's own progress
  elseif type(result.edit) == 'table' then
    work.title = result.title
    propose(work, result.edit, result.problem)
  elseif work.answer then
    work.answer:finish(result.title, result.answer)
  end
end

---A part of what is being written.
---@param params {token: string|integer, value: any}
---@return boolean ours
function M.on_progress(params)
  if type(params.token) ~= 'string' or not vim.startswith(params.token, 'codellama-action-') then
    return false
  end
  local work, value = working[params.token], params.value
  if not work or type(value) ~= 'table' then
    return true
  end
  if value.delta then
    work.answer = work.answer or require('codellama.answer').begin(work.title)
    work.answer:append(value.delta)
  elseif value.edits and vim.api.nvim_buf_is_loaded(work.bufnr) then
    work.hunks = require('codellama.edits.hunks').of(work.bufnr, work.base, value.edits, work.client.offset_encoding)
    draw(work)
  elseif value.message then
    work.message = value.message
    draw(work)
  end
  return true
end

---@param bufnr integer
---@param range lsp.Range
---@return integer mark over the lines of a range
local function remember(bufnr, range)
  vim.api.nvim_buf_clear_namespace(bufnr, namespace, 0, -1)
  local last = vim.api.nvim_buf_line_count(bufnr) - 1
  local first = math.min(range.start.line, last)
  return vim.api.nvim_buf_set_extmark(bufnr, namespace, first, 0, { end_row = math.min(range['end'].line, last), end_col = 0 })
end

---Have the model do something in a buffer. What it did there before, and was not decided on, is given up.
---@param client vim.lsp.Client
---@param bufnr integer
---@param params table
---@param title string
function M.begin(client, bufnr, params, title)
  local before = M.of(bufnr)
  if before then
    M.stop(before)
  end
  local fixed = not READS[params.action] and require('codellama.shield').why_fixed(bufnr)
  if fixed then
    return notify.warn(fixed)
  end
  title = title:gsub(' %(Code Llama%)$', '') -- which stands in front of it here
  count = count + 1
  local token = ('codellama-action-%d-%d'):format(vim.uv.os_getpid(), count)
  local row = params.range.start.line
  local work = { client = client, bufnr = bufnr, title = title, message = 'asking the model', hunks = {}, row = row }
  work.token, work.base = token, vim.api.nvim_buf_get_lines(bufnr, 0, -1, false) ---@cast work codellama.Work
  working[token] = work
  asked[bufnr] = { params = params, title = title, mark = remember(bufnr, params.range) }
  require('codellama.edits.keys').take(bufnr, { 'stop' })
  draw(work)
  require('codellama.status').refresh()
  local sent, id = require('codellama.client').ask(
    client,
    'action',
    vim.tbl_extend('force', params, { partialResultToken = token }),
    function(err, result)
      ended(work, err, result)
    end
  )
  work.request = id
  if not sent then
    finish(work)
  end
end

---What was asked in a buffer last, for the lines where it was asked as they are now.
---@param bufnr integer
---@return table? params
---@return string title
function M.last(bufnr)
  local before = asked[bufnr]
  if not before then
    return nil, ''
  end
  local mark = vim.api.nvim_buf_get_extmark_by_id(bufnr, namespace, before.mark, { details = true })
  local params = vim.deepcopy(before.params)
  if mark[1] then
    params.range.start.line, params.range['end'].line = mark[1], (mark[3] or {}).end_row or mark[1]
  end
  params.version = nil -- the lines are those of now
  return params, before.title
end

---End what is being worked on, and take it off the screen.
---@param only? codellama.Work nil: all
---@return integer count
function M.stop(only)
  local stopped = 0
  for _, work in pairs(only and { only } or vim.tbl_values(working)) do
    if work.request then
      work.client:cancel_request(work.request)
    end
    finish(work) -- a cancelled request never calls its handler
    if work.answer then
      work.answer:finish(work.title, nil)
    end
    stopped = stopped + 1
  end
  return stopped
end

---A server ended: nothing more will come from it.
---@param id integer client
function M.gone(id)
  for _, work in pairs(vim.tbl_values(working)) do
    if work.client.id == id then
      finish(work)
      notify.warn('the server ended before it was done; ask again.')
    end
  end
end

return M
