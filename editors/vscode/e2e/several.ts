/** What is short shares a window, which takes longer to open. */
import * as controls from './controls.ts';
import * as links from './links.ts';
import * as long from './long.ts';
import * as next from './next.ts';
import { scene, standIn } from './scenario.ts';
import * as servers from './servers.ts';

await scene('links to what is hidden, next edits, servers of others, a token, and what is long', (engine, host) => ({
  files: { ...links.FILES, ...next.FILES, ...servers.FILES },
  links: links.links(host),
  settings: standIn(engine),
}), async (given) => {
  await links.play(given);
  given.host.set('workbench.colorTheme', 'Default Dark Modern');
  await next.play(given);
  await servers.play(given);
  given.host.set('workbench.colorTheme', 'Default Light Modern');
  await controls.play(given);
  await long.play(given);
});
