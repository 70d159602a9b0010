if vim.g.loaded_codellama then
  return
end
vim.g.loaded_codellama = true

vim.api.nvim_set_hl(0, 'CodeLlamaGhost', { default = true, link = 'NonText' })
vim.api.nvim_set_hl(0, 'CodeLlamaGhostMore', { default = true, link = 'Comment' })

vim.api.nvim_create_user_command('CodeLlama', function(command)
  require('codellama.commands').run(command)
end, {
  nargs = '*',
  range = true,
  desc = 'Code Llama: suggestions, actions and chat',
  complete = function(typed, line)
    return require('codellama.commands').complete(typed, line)
  end,
})

for _, action in ipairs({ 'accept', 'accept_word', 'accept_line', 'next', 'previous', 'dismiss' }) do
  local name = ('<Plug>(codellama-%s)'):format((action:gsub('_', '-')))
  vim.keymap.set('i', name, function()
    require('codellama.inline')[action]()
  end, { desc = 'Code Llama: ' .. action:gsub('_', ' ') })
end
vim.keymap.set('n', '<Plug>(codellama-chat)', '<Cmd>CodeLlama chat<CR>', { desc = 'Code Llama: chat' })
vim.keymap.set('x', '<Plug>(codellama-chat)', ':CodeLlama chat<CR>', { desc = 'Code Llama: chat on the selection' })
for _, action in ipairs({ 'explain', 'fix', 'doc', 'tests' }) do
  local name = ('<Plug>(codellama-%s)'):format(action)
  vim.keymap.set({ 'n', 'x' }, name, ':CodeLlama ' .. action .. '<CR>', { desc = 'Code Llama: ' .. action })
end
