/** One window of VS Code in a browser, and what a user does in it. */
import { chromium, type Browser, type FrameLocator, type Locator, type Page } from 'playwright-core';
import assert from 'node:assert/strict';
import { sleep } from './host.ts';

export class Window {
  readonly outside = new Set<string>();

  readonly browser: Browser;
  readonly page: Page;

  private constructor(browser: Browser, page: Page) {
    this.browser = browser;
    this.page = page;
  }

  static async open(url: string, size = { width: 1280, height: 800 }): Promise<Window> {
    const browser = await chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
    const page = await (await browser.newContext({ viewport: size, permissions: ['clipboard-read', 'clipboard-write'] })).newPage();
    const window = new Window(browser, page);
    page.setDefaultTimeout(30_000);
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      // The pages of webviews have a host name of their own, which a service worker answers for.
      if (protocol.startsWith('http') && !/\.vscode-resource\.vscode-cdn\.net$|^(?:127\.0\.0\.1|localhost)$/.test(hostname)) {
        window.outside.add(request.url().slice(0, 120));
      }
    });
    await window.load(url);
    return window;
  }

  async load(url: string): Promise<void> {
    await this.page.goto(url);
    await this.page.waitForSelector('.monaco-workbench', { timeout: 60_000 });
    await this.page.locator('.explorer-folders-view .monaco-list-row').first().waitFor({ timeout: 60_000 });
  }

  async close(): Promise<void> {
    await this.browser.close();
  }

  get status(): Locator {
    return this.page.locator('.statusbar-item', { hasText: 'Code Llama' });
  }

  /** Wait until the status bar says this. */
  async says(text: string | RegExp, timeout = 40_000): Promise<void> {
    await this.page.locator('.statusbar-item', { hasText: text }).first().waitFor({ timeout });
  }

  async openFile(name: string): Promise<void> {
    await (await this.quickInput()).fill(name);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.locator('.tab.active', { hasText: name }).waitFor();
    await this.page.locator('.editor-instance .view-line').first().waitFor();
  }

  /** Put the cursor at a place (lines from 1). */
  async goTo(line: number, column = 1): Promise<void> {
    await this.page.keyboard.press('Control+g');
    await this.page.locator('.quick-input-widget input').first().waitFor();
    await this.page.keyboard.type(`:${line}:${column}`.slice(1));
    await this.page.keyboard.press('Enter');
    await this.page.locator('.quick-input-widget').first().waitFor({ state: 'hidden' });
  }

  async focusEditor(): Promise<void> {
    await this.page.locator('.editor-instance .view-lines').last().click();
  }

  /** The command palette; asked for again where the focus is in a web page that is still coming up, and swallows keys. */
  private async quickInput(): Promise<Locator> {
    const input = this.page.locator('.quick-input-widget input').first();
    for (let tries = 0; ; tries++) {
      await this.page.keyboard.press('F1');
      try {
        await input.waitFor({ timeout: 2000 });
        return input;
      } catch (error) {
        if (tries === 4) {
          throw error;
        }
        await this.page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
      }
    }
  }

  async command(title: string): Promise<void> {
    const input = await this.quickInput();
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  async save(): Promise<void> {
    await this.page.keyboard.press('Control+s');
    await this.page.waitForFunction(() => !document.querySelector('.tab.active.dirty'));
    await sleep(200);
  }

  get ghost(): Locator {
    return this.page.locator('.ghost-text-decoration, .ghost-text, .ghost-text-decoration-preview');
  }

  async ghostText(): Promise<string> {
    await this.ghost.first().waitFor();
    return (await this.ghost.allInnerTexts()).join('').replaceAll('\u00a0', ' ');
  }

  async toast(text: string | RegExp): Promise<Locator> {
    const toast = this.page.locator('.notification-toast, .notification-list-item', { hasText: text }).first();
    await toast.waitFor();
    return toast;
  }

  async clearToasts(): Promise<void> {
    await this.command('Notifications: Clear All Notifications');
    await sleep(150);
  }

  get panel(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  async openChat(): Promise<void> {
    await this.command('Code Llama: Open Chat');
    await this.panel.locator('textarea').waitFor();
  }

  async ask(text: string): Promise<void> {
    await this.panel.locator('textarea').fill(text);
    await this.panel.locator('textarea').press('Enter');
  }

  /** Wait until the answer is complete. */
  async answered(timeout = 30_000): Promise<void> {
    await this.panel.locator('.turn.assistant:not(.writing) footer button').last().waitFor({ timeout });
    await this.panel.locator('button.go[aria-label="Send"]').waitFor({ timeout });
  }

  get answer(): Locator {
    return this.panel.locator('.turn.assistant .body').last();
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
export async function until<T>(work: () => T | Promise<T>, what: string, seconds = 20): Promise<NonNullable<T>> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await work();
    if (value) {
      return value;
    }
    assert.ok(Date.now() < end, `waited in vain until ${what}`);
    await sleep(50);
  }
}
