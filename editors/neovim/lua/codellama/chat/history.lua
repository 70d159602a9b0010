---Conversations of before: choosing one to go on with, deleting one.
local notify = require('codellama.notify')
local turns = require('codellama.chat.turns')
local view = require('codellama.chat.view')

local M = {}

---@param method string
---@param params table
---@param done fun(result: any)
local function ask(method, params, done)
  local client = require('codellama.client').need()
  if client then
    require('codellama.client').ask(client, 'chat/' .. method, params, function(err, result)
      if err then
        notify.warn(err.message)
      else
        done(result)
      end
    end)
  end
end

---Show a conversation.
---@param id string
function M.show(id)
  ask('get', { conversationId = id }, function(found)
    view.open()
    require('codellama.chat').go_to(id)
    for _, turn in ipairs(found.turns) do
      if turn.role == 'user' then
        local attached = vim.tbl_map(function(each)
          return turns.attached(each.name, each.firstLine, each.lastLine)
        end, turn.attachments or {})
        turns.question(turn.content, attached, turn.turn)
      else
        turns.answer(turn.turn)
        view.append(turn.content)
        turns.finish()
      end
    end
    view.follow(true)
  end)
end

---Let the user choose a conversation to go on with.
function M.choose()
  ask('list', vim.empty_dict(), function(found)
    if #found == 0 then
      return notify.say('there are no conversations yet.')
    end
    vim.ui.select(found, {
      prompt = 'Conversations:',
      kind = 'codellama',
      format_item = function(each)
        return ('%s  %s'):format(os.date('%Y-%m-%d %H:%M', math.floor(each.updated)), each.title)
      end,
    }, function(chosen)
      if chosen then
        M.show(chosen.id)
      end
    end)
  end)
end

---Delete the conversation on the screen, after asking.
function M.delete()
  local chat = require('codellama.chat')
  local id = chat.conversation()
  if not id then
    return notify.say('there is nothing to delete.')
  end
  if vim.fn.confirm('Delete this conversation?', '&Yes\n&No', 2) ~= 1 then
    return
  end
  ask('delete', { conversationId = id }, function()
    chat.new()
    notify.say('the conversation is deleted.')
  end)
end

return M
