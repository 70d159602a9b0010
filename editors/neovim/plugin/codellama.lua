if vim.g.loaded_codellama then
  return
end
vim.g.loaded_codellama = true

vim.api.nvim_set_hl(0, 'CodeLlamaGhost', { default = true, link = 'NonText' })
vim.api.nvim_set_hl(0, 'CodeLlamaGhostMore', { default = true, link = 'Comment' })
vim.api.nvim_set_hl(0, 'CodeLlamaOld', { default = true, link = 'DiffDelete' })
vim.api.nvim_set_hl(0, 'CodeLlamaNew', { default = true, link = 'DiffAdd' })
vim.api.nvim_set_hl(0, 'CodeLlamaTitle', { default = true, link = 'Title' })
vim.api.nvim_set_hl(0, 'CodeLlamaNote', { default = true, link = 'Comment' })
vim.api.nvim_set_hl(0, 'CodeLlamaProblem', { default = true, link = 'WarningMsg' })

vim.api.nvim_create_user_command('CodeLlama', function(command)
  local there, commands = pcall(require, 'codellama.commands')
  if not there then
    return vim.notify('Code Llama: the plugin is not there any more; restart Neovim.', vim.log.levels.WARN)
  end
  commands.run(command)
end, {
  nargs = '*',
  range = true,
  desc = 'Code Llama: suggestions, actions and chat',
  complete = function(typed, line)
    return require('codellama.commands').complete(typed, line)
  end,
})

local keys = require('codellama.keys')
for _, action in ipairs(keys.ACTIONS) do
  vim.keymap.set('i', keys.plug(action), function()
    require('codellama.inline')[action]()
  end, { desc = 'Code Llama: ' .. action:gsub('_', ' ') })
end
for name, action in pairs({ ['next-edit'] = 'go', ['reject-next-edit'] = 'reject' }) do
  vim.keymap.set({ 'n', 'i' }, keys.plug(name), function()
    require('codellama.next_edit')[action]()
  end, { desc = 'Code Llama: ' .. name:gsub('-', ' ') })
end
vim.keymap.set('n', '<Plug>(codellama-chat)', '<Cmd>CodeLlama chat<CR>', { desc = 'Code Llama: chat' })
vim.keymap.set('x', '<Plug>(codellama-chat)', ':CodeLlama chat<CR>', { desc = 'Code Llama: chat on the selection' })
for _, action in pairs(require('codellama.edits.keys').ACTIONS) do
  vim.keymap.set('n', keys.plug(action.plug), action.does, { desc = 'Code Llama: ' .. action.plug:gsub('-', ' ') })
end
for _, action in ipairs({ 'edit', 'explain', 'fix', 'doc', 'tests' }) do
  vim.keymap.set({ 'n', 'x' }, keys.plug(action), ':CodeLlama ' .. action .. '<CR>', { desc = 'Code Llama: ' .. action })
end
