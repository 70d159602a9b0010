/**
 * Markdown of the model to HTML. What the model writes is data: its HTML is shown as text, images are not loaded, links
 * have no address that a click could follow by itself, and only web and mail addresses are links at all.
 */
import MarkdownIt from 'markdown-it';
import { highlighted } from './highlight';

/** A longer text is shown as it is: laying out one endless line takes the editor's time. */
export const MOST = 200_000;

const md = new MarkdownIt({ html: false, linkify: false, breaks: false });
const escape = md.utils.escapeHtml;
md.disable('image');
md.validateLink = (href) => /^(?:https?:\/\/|mailto:)/i.test(href.trim());
md.renderer.rules['link_open'] = (tokens, index) => {
  const href = escape(String(tokens[index]?.attrGet('href') ?? ''));
  return `<a class="link" role="link" tabindex="0" data-href="${href}" title="${href}">`;
};
md.renderer.rules['fence'] = (tokens, index) => code(tokens[index]?.content ?? '', (tokens[index]?.info ?? '').trim().split(/\s/, 1)[0] ?? '');
md.renderer.rules['code_block'] = (tokens, index) => code(tokens[index]?.content ?? '', '');
md.renderer.rules['table_open'] = () => '<div class="table" tabindex="0" role="region" aria-label="Table"><table>';
md.renderer.rules['table_close'] = () => '</table></div>';

/** The HTML of a whole text. */
export function html(text: string): string {
  return text.length > MOST ? `<p class="plain">${escape(text)}</p>` : md.render(text);
}

/** Where the last block of the text begins: what is before it does not change any more as text is added. */
export function lastBlock(text: string): number {
  const line = md.parse(text, {}).findLast((token) => token.level === 0 && token.map && token.nesting >= 0)?.map?.[0] ?? 0;
  let at = 0;
  for (let row = 0; row < line; row++) {
    at = text.indexOf('\n', at) + 1;
  }
  return at;
}

function code(content: string, language: string): string {
  const colours = highlighted(content, language.toLowerCase());
  const name = escape(language.slice(0, 30));
  const doing = (what: string, label: string): string => `<button type="button" data-do="${what}" title="${label}">${BUTTONS[what] ?? ''}</button>`;
  return (
    `<figure class="code" data-language="${name}"><figcaption><span>${name || 'text'}</span>` +
    doing('copy', 'Copy this code') +
    doing('insert', 'Insert this code at the cursor') +
    doing('apply', 'Apply this code: show it as a change of the file') +
    doing('create', 'Put this code into a new file') +
    `</figcaption><pre tabindex="0" role="region" aria-label="Code${name && `, ${name}`}"><code>${colours ?? escape(content)}</code></pre></figure>`
  );
}

const BUTTONS: Readonly<Record<string, string>> = { copy: 'Copy', insert: 'Insert', apply: 'Apply', create: 'New file' };
