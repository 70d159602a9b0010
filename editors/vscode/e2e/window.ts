/** One window of VS Code in a browser, and what a user does in it. */
import { chromium, type BrowserContext, type FrameLocator, type Locator, type Page } from 'playwright-core';
import assert from 'node:assert/strict';
import { sleep } from './host.ts';

export class Window {
  readonly outside = new Set<string>();
  readonly page: Page;
  private readonly isFirst: boolean;

  private constructor(page: Page, isFirst: boolean) {
    this.page = page;
    this.isFirst = isFirst;
  }

  /** A window in a browser of its own. */
  static async open(url: string): Promise<Window> {
    const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-software-rasterizer'] });
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'] });
    return Window.in(context, url, true);
  }

  /** A second window of the same user. */
  async another(url: string): Promise<Window> {
    return Window.in(this.page.context(), url, false);
  }

  private static async in(context: BrowserContext, url: string, isFirst: boolean): Promise<Window> {
    const window = new Window(await context.newPage(), isFirst);
    const { page } = window;
    page.setDefaultTimeout(60_000);
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      // The pages of webviews have a host name of their own, which a service worker answers for.
      if (protocol.startsWith('http') && !/\.vscode-resource\.vscode-cdn\.net$|^(?:127\.0\.0\.1|localhost)$/.test(hostname)) {
        window.outside.add(request.url().slice(0, 120));
      }
    });
    try {
      await window.load(url);
    } catch (error) {
      await window.close();
      throw error;
    }
    return window;
  }

  async load(url: string): Promise<void> {
    await this.page.goto(url, { waitUntil: 'commit' });
    await this.page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 120_000 });
  }

  async close(): Promise<void> {
    await (this.isFirst ? this.page.context().browser()?.close() : this.page.close());
  }

  get status(): Locator {
    // By its id: the progress of loading is an item with the same name.
    return this.page.locator('[id="codellama-ls.codellama.codellama.status"]');
  }

  /** Choose in the menu of the status bar item. */
  async menu(entry: string): Promise<void> {
    await this.status.click();
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: entry }).click();
  }

  /** Wait until the status bar says this. */
  async says(text: string | RegExp, timeout = 60_000): Promise<void> {
    await this.status.filter({ hasText: text }).waitFor({ timeout });
  }

  async openFile(name: string): Promise<void> {
    await this.pick(name, name);
    await this.page.locator('.tab.active', { hasText: name }).waitFor();
    await this.page.locator('.editor-instance .view-line').first().waitFor();
  }

  /** Put the cursor at a place (lines from 1). */
  async goTo(line: number, column = 1): Promise<void> {
    await this.page.keyboard.press('Control+g');
    const input = this.page.locator('.quick-input-widget input').first();
    await until(async () => (await input.isVisible()) && (await input.inputValue()).startsWith(':'), 'a line is asked for');
    await input.fill(`:${line}:${column}`);
    await input.press('Enter');
    await this.page.locator('.quick-input-widget').first().waitFor({ state: 'hidden' });
    // The next key is for the editor, which has the keyboard again a moment later.
    await this.page.locator('.editor-instance .monaco-editor.focused').last().waitFor();
  }

  async focusEditor(): Promise<void> {
    await this.page.locator('.editor-instance .view-lines').last().click();
  }

  async command(title: string): Promise<void> {
    await this.pick(`>${title}`, title);
  }

  /**
   * Type into the palette, and take the entry of this very name: what comes first may be another that is alike. VS Code
   * closes the palette when a page of its own that comes up late takes the focus; it is then asked for again.
   */
  private async pick(typed: string, name: string): Promise<void> {
    const { page } = this;
    const input = page.locator('.quick-input-widget input').first();
    let asked = 0;
    const isChosen = async (): Promise<boolean> => {
      const { isOpen, text, chosen, names } = await page.evaluate(() => {
        const labels = (rows: string): string[] => [...document.querySelectorAll(`.quick-input-list ${rows} .label-name`)].map((label) => (label.textContent ?? '').replaceAll('\u00a0', ' '));
        const input = document.querySelector<HTMLInputElement>('.quick-input-widget input');
        return { isOpen: input?.checkVisibility() ?? false, text: input?.value, chosen: labels('.monaco-list-row.focused')[0], names: labels('.monaco-list-row') };
      });
      if (!isOpen) {
        if (Date.now() - asked > 5000) {
          asked = Date.now();
          // Keys go to the page itself: a web view that has the focus while it comes up swallows them.
          await page.evaluate(() => document.activeElement instanceof HTMLIFrameElement && document.activeElement.blur());
          await page.keyboard.press('F1');
        }
      } else if (text !== typed) {
        await input.fill(typed, { timeout: 1000 }).catch(() => undefined);
      } else if (chosen !== name && names.includes(name)) {
        await page.keyboard.press('ArrowDown');
      }
      return isOpen && text === typed && chosen === name;
    };
    await until(isChosen, `${name} is chosen in the palette`);
    await page.keyboard.press('Enter');
  }

  /** Save what was changed. */
  async save(): Promise<void> {
    await this.page.locator('.tab.active.dirty').waitFor();
    await this.page.keyboard.press('Control+s');
    await this.page.waitForFunction(() => !document.querySelector('.tab.active.dirty'));
  }

  get ghost(): Locator {
    return this.page.locator('.ghost-text-decoration, .ghost-text, .ghost-text-decoration-preview');
  }

  /** The suggestion that is shown; waits for one. */
  async ghostText(): Promise<string> {
    await this.ghost.first().waitFor();
    return plain((await this.ghost.allTextContents()).join(''));
  }

  /** Wait until these lines are the suggestion: while one types there are others. */
  async suggests(...lines: string[]): Promise<void> {
    await this.suggestsWithin(60, ...lines);
  }

  async suggestsWithin(seconds: number, ...lines: string[]): Promise<void> {
    let seen = '';
    const isSeen = async (): Promise<boolean> => {
      seen = plain((await this.ghost.allTextContents()).join(''));
      // The page has the lines in an order of its own.
      return seen.length === lines.join('').length && lines.every((line) => seen.includes(line));
    };
    await until(isSeen, () => `${JSON.stringify(lines)} is suggested, not ${JSON.stringify(seen)}`, seconds);
  }

  async toast(text: string | RegExp): Promise<Locator> {
    const toast = this.page.locator('.notification-toast, .notification-list-item', { hasText: text }).first();
    await toast.waitFor();
    return toast;
  }

  async clearToasts(): Promise<void> {
    await this.command('Notifications: Clear All Notifications');
    await until(async () => !(await this.page.locator('.notification-toast').count()), 'no notification is shown');
  }

  get panel(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  async openChat(): Promise<void> {
    await this.command('Code Llama: Open Chat');
    await this.chatIsReady();
  }

  /** Wait until the panel has taken the focus: before, it would take it from whatever comes next. */
  async chatIsReady(): Promise<void> {
    await this.panel.locator('textarea:focus').waitFor();
  }

  async ask(text: string): Promise<void> {
    // What is there already is not the answer that `answered` waits for.
    await this.panel.locator('.turn').evaluateAll((turns) => turns.forEach((turn) => turn.setAttribute('data-seen', '')));
    // The space closes the list of names that an @ opens: Enter is to send.
    await this.panel.locator('textarea').fill(`${text} `);
    await this.panel.locator('textarea').press('Enter');
  }

  /** Wait until the answer is complete. */
  async answered(timeout = 60_000): Promise<void> {
    await this.panel.locator('.turn.assistant:not(.writing, [data-seen]) footer button').last().waitFor({ timeout });
    await this.panel.locator('button.go[aria-label="Send"]').waitFor({ timeout });
  }

  get answer(): Locator {
    return this.panel.locator('.turn.assistant .body').last();
  }

  /** Close the new file that is shown. */
  async closeUnsaved(): Promise<void> {
    await this.command('View: Revert and Close Editor');
    await until(async () => !(await this.tabs()).some((tab) => /Untitled/.test(tab)), 'it is closed');
  }

  /** Wait until a preview is closed and its file is shown. */
  async back(file: string): Promise<void> {
    await until(async () => (await this.tabs()).every((tab) => !tab.startsWith(`${file}:`)), 'the preview is closed');
    await this.page.locator('.tab.active', { hasText: file }).waitFor();
  }

  async tabs(): Promise<string[]> {
    const labels = await this.page.locator('.tab .monaco-icon-label').allTextContents();
    assert.ok(labels.every((label) => label.trim()), 'tabs have names');
    return labels.map((label) => label.trim());
  }
}

/** Wait until something holds. */
export async function until<T>(work: () => T | Promise<T>, what: string | (() => string), seconds = 60): Promise<NonNullable<T>> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await work();
    if (value) {
      return value;
    }
    assert.ok(Date.now() < end, `waited in vain until ${typeof what === 'string' ? what : what()}`);
    await sleep(50);
  }
}

/** Text as it is meant: VS Code draws spaces that do not break. */
function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}
