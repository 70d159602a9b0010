/** What is short shares a window, which takes longer to open. */
import * as controls from './controls.ts';
import * as links from './links.ts';
import * as long from './long.ts';
import * as next from './next.ts';
import { scene, standIn } from './scenario.ts';

await scene('a token, links to what is hidden, next edits, and what is long', (engine, host) => ({
  files: { ...links.FILES, ...next.FILES },
  links: links.links(host),
  settings: standIn(engine),
}), async (given) => {
  await controls.play(given);
  await links.play(given);
  given.host.set('workbench.colorTheme', 'Default Dark Modern');
  await next.play(given);
  given.host.set('workbench.colorTheme', 'Default Light Modern');
  await long.play(given);
});
