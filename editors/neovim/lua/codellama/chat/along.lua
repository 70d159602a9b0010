---What goes along with a question: files that were added, and by itself what is around the cursor.
local config = require('codellama.config')
local positions = require('codellama.positions')
local view = require('codellama.chat.view')

local M = {}

---Seconds of reading that are worth a word.
local WORTH = 2

local files = {} ---@type integer[] buffers, sent whole
local around ---@type boolean? nil: as the options say
local chosen ---@type string?
local estimate = '' ---@type string
local asked = 0

---The buffer that the user came from, where it is one of a server.
---@return integer? bufnr
---@return integer? window
local function here()
  local window = view.source()
  local bufnr = vim.api.nvim_win_is_valid(window) and vim.api.nvim_win_get_buf(window) or nil
  if bufnr and vim.lsp.get_clients({ name = 'codellama', bufnr = bufnr })[1] then
    return bufnr, window
  end
end

---@param bufnr integer
---@return string
local function name_of(bufnr)
  local name = vim.fs.basename(vim.api.nvim_buf_get_name(bufnr))
  return name == '' and 'the buffer' or name
end

---@return boolean
local function goes_around()
  if around ~= nil then
    return around
  end
  return config.options.chat.around
end

---@return integer[] those that are still there
local function added()
  files = vim.tbl_filter(vim.api.nvim_buf_is_loaded, files)
  return files
end

---As the server takes it, and a line for the screen for each.
---@param client vim.lsp.Client
---@return table[] attachments
---@return string[] lines
function M.attachments(client)
  local found, lines = {}, {} ---@type table[], string[]
  for _, bufnr in ipairs(added()) do
    found[#found + 1] = { uri = vim.uri_from_bufnr(bufnr), kind = 'file' }
    lines[#lines + 1] = 'with ' .. name_of(bufnr)
  end
  local bufnr, window = here()
  if bufnr and window and goes_around() and not vim.list_contains(files, bufnr) then
    local cursor = vim.api.nvim_win_get_cursor(window)
    local at = positions.position(bufnr, cursor[1] - 1, cursor[2], client.offset_encoding)
    local range = { start = at, ['end'] = at }
    found[#found + 1] = { uri = vim.uri_from_bufnr(bufnr), kind = 'around', range = range }
    lines[#lines + 1] = ('with %s, around line %d'):format(name_of(bufnr), cursor[1])
  end
  return found, lines
end

---Lines that were chosen go with the next question, and nothing else.
---@param lines? string how they are named; nil: none
function M.choose(lines)
  chosen = lines
end

---What stands over the lines to write in.
---@return string
function M.bar()
  if chosen then
    return ('<C-s> sends   %s   g? keys'):format(chosen)
  end
  local said = {} ---@type string[]
  for _, bufnr in ipairs(added()) do
    said[#said + 1] = name_of(bufnr)
  end
  local bufnr, window = here()
  if bufnr and window then
    local name, whole = name_of(bufnr), vim.list_contains(files, bufnr)
    if goes_around() and not whole then
      said[#said + 1] = ('around line %d of %s, gf: whole file'):format(vim.api.nvim_win_get_cursor(window)[1], name)
    elseif not whole then
      said[#said + 1] = ('gf: %s'):format(name)
    end
  end
  return ('<C-s> sends   %s%s   g? keys'):format(table.concat(said, ' + '), estimate)
end

---Find out what it takes to read what goes along; the bar says it.
function M.show()
  view.writing_bar()
  local client = require('codellama.client').get()
  if not client then
    return
  end
  asked = asked + 1
  local now = asked
  local params = { message = '?', attachments = M.attachments(client) }
  require('codellama.client').ask(client, 'chat/preview', params, function(_, result)
    local seconds = type(result) == 'table' and result.readSeconds
    if now == asked then
      local slow = type(seconds) == 'number' and seconds >= WORTH
      estimate = slow and ('   about %.0f s to read'):format(seconds) or ''
      estimate = estimate .. (type(result) == 'table' and #result.leftOut > 0 and ', in part' or '')
      view.writing_bar()
    end
  end)
end

---Add the file that the user came from, or take it away again.
function M.toggle_file()
  local bufnr = here()
  if not bufnr then
    return require('codellama.notify').say('there is no file to add.')
  end
  local others = vim.tbl_filter(function(each)
    return each ~= bufnr
  end, added())
  files = #others == #files and vim.list_extend(others, { bufnr }) or others
  M.show()
end

---Whether what is around the cursor goes along: from now on the other way round.
function M.toggle_around()
  around = not goes_around()
  M.show()
end

---The question was asked: the next one begins without files.
function M.clear()
  files, chosen, estimate = {}, nil, ''
end

return M
