---How a process of the server is started, so that it takes nothing from the folder that is open: a project may hold files
---that Python or the shell would run only because they lie there.
local M = {}

local OWNERS_ONLY = '0o700'

---Of Python's variables, those that name no code to load; all others are kept from the server.
local HARMLESS = {
  PYTHONCOERCECLOCALE = true,
  PYTHONDONTWRITEBYTECODE = true,
  PYTHONIOENCODING = true,
  PYTHONNOUSERSITE = true,
  PYTHONUNBUFFERED = true,
  PYTHONUTF8 = true,
}

---Whether a path is the same in every folder. To Neovim one that begins with ~ is, but not to what looks for programs.
---@param path string
---@return boolean
local function is_whole(path)
  return vim.fn.isabsolutepath(path) == 1 and path:sub(1, 1) ~= '~'
end

---Of `PATH`, the folders that are the same wherever one is.
---@return string[]
local function folders()
  local separator = vim.fn.has('win32') == 1 and ';' or ':'
  return vim.tbl_filter(is_whole, vim.split(vim.env.PATH or '', separator, { plain = true }))
end

---A program by its whole path, or by its name on `PATH`.
---@param program string
---@return string? path nil where it cannot be run, or where another one might be run in another folder
function M.find(program)
  if is_whole(program) then
    return vim.fn.executable(program) == 1 and vim.fn.exepath(program) or nil
  end
  if M.is_relative(program) then
    return nil
  end
  for _, folder in ipairs(folders()) do
    local path = vim.fs.joinpath(folder, program)
    if vim.fn.executable(path) == 1 then
      return vim.fn.exepath(path)
    end
  end
end

---Whether a program is named by a path that is another one in another folder.
---@param program string
---@return boolean
function M.is_relative(program)
  local has_folder = program == '' or program:find(vim.fn.has('win32') == 1 and '[/\\:]' or '/') ~= nil
  return has_folder and not is_whole(program)
end

---The folder in which the server runs, its own: it is made where there is none.
---@return string
function M.folder()
  local folder = vim.fs.joinpath(vim.fn.stdpath('state') --[[@as string]], 'codellama')
  local made = is_whole(folder) and pcall(vim.fn.mkdir, folder, 'p', OWNERS_ONLY)
  if made and vim.fn.isdirectory(folder) == 1 then
    return folder
  end
  return vim.fs.dirname(vim.fn.tempname()) -- this Neovim's own
end

---What the server's environment has over Neovim's.
---@return table<string, string>
function M.additions()
  local separator = vim.fn.has('win32') == 1 and ';' or ':'
  return { PATH = table.concat(folders(), separator), PYTHONSAFEPATH = '1' }
end

---Whether a variable may make Python load code.
---@param name string
---@param value string
---@return boolean
local function loads_code(name, value)
  local upper = name:upper()
  if upper == 'PYTHONUSERBASE' then
    return not is_whole(value)
  end
  return upper:find('PYTHON', 1, true) == 1 and not HARMLESS[upper] or upper == '__PYVENV_LAUNCHER__'
end

---Start a process while Neovim's environment is without what would make it load code: what Neovim has for starting
---processes can only add to that.
---@generic T
---@param start fun(): T
---@return T
function M.without_pythons_variables(start)
  local before = {} ---@type table<string, string>
  for name, value in pairs(vim.fn.environ()) do
    if loads_code(name, value) then
      before[name] = value
      vim.fn.setenv(name, vim.NIL --[[@as string]])
    end
  end
  local ok, result = pcall(start)
  for name, value in pairs(before) do
    vim.fn.setenv(name, value)
  end
  if not ok then
    error(result, 0)
  end
  return result
end

return M
