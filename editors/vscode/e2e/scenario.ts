/** Scenarios: each is done in a fresh VS Code, or several in one; a failure leaves a picture. */
import fs from 'node:fs';
import path from 'node:path';
import { Engine } from './engine.ts';
import { E2E, Host, tokenizer, type Wishes } from './host.ts';
import { Window } from './window.ts';

export interface Scene {
  readonly host: Host;
  readonly window: Window;
  readonly engine: Engine;
  readonly step: (name: string, work: () => Promise<unknown>) => Promise<void>;
  /** A picture for the documentation. */
  readonly picture: (name: string) => Promise<void>;
}

/** Where pictures go; PICTURES=screenshots takes those of the documentation anew. */
const PICTURES = process.env['PICTURES'] ?? path.join(E2E, 'run/pictures');

/** Settings for a language server whose engine is the stand-in. */
export function standIn(engine: Engine): Record<string, unknown> {
  return { 'codellama.engineUrl': engine.url, 'codellama.tokenizer': tokenizer(), 'codellama.chatFormat': 'inst' };
}

/** Only those whose names have this, where it is set. */
const ONLY = process.env['ONLY'] ?? '';

export async function scene(name: string, wishes: (engine: Engine, host: Host) => Wishes, play: (scene: Scene) => Promise<void>): Promise<void> {
  if (!name.includes(ONLY)) {
    return;
  }
  const begun = Date.now();
  const [host, engine] = [new Host(), new Engine()];
  let window: Window | undefined;
  try {
    await engine.start();
    await host.start(wishes(engine, host));
    window = await Window.open(host.url);
    const { page } = window;
    const step = async (what: string, work: () => Promise<unknown>): Promise<void> => {
      const start = Date.now();
      await work();
      console.log(`  ok  ${what} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    };
    const picture = async (file: string): Promise<void> => {
      fs.mkdirSync(PICTURES, { recursive: true });
      await page.screenshot({ path: path.join(PICTURES, `${file}.png`) });
    };
    await play({ host, window, engine, step, picture });
    if (window.outside.size) {
      throw new Error(`the page asked for ${[...window.outside].join(', ')}`);
    }
    console.log(`ok  ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    process.exitCode = 1;
    console.error(`FAILED  ${name}`, error, await window?.status.getAttribute('aria-label', { timeout: 1000 }).catch(() => undefined));
    fs.mkdirSync(path.join(E2E, 'run'), { recursive: true });
    await window?.command('Notifications: Show Notifications').catch(() => undefined);
    await window?.page.screenshot({ path: path.join(E2E, 'run', `${name.replaceAll(/\W+/g, '-')}.png`) }).catch(() => undefined);
    console.error((host.log() + host.serverLog()).split('\n').filter((line) => /codellama|error/i.test(line) && !/bindings/.test(line)).slice(-20).join('\n'));
  } finally {
    await window?.close();
    await host.stop();
    engine.stop();
  }
}

/** Whether a file is what was started, not a part of another. */
export function isAlone(file: string): boolean {
  return path.resolve(process.argv[1] ?? '') === file;
}
