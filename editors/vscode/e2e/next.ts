/** The next edit: what one key goes to and changes, in one file and in two, and the key that sends it away. */
import assert from 'node:assert/strict';
import { isAlone, scene, standIn, type Scene } from './scenario.ts';

const TOTAL = `def total(numbers):
    result = 0
    for number in numbers:
        result += number
    return result
`;
const AREA = `def area(width, unit):
    return width


print(area(1, 2))
print(area(3, 4))
`;
const OTHER = `from area import area

size = area(5, 6)
`;
const CALLS = `print("a", 1)
print("b", 2)
print("c", 3)
`;

export const FILES = { 'total.py': TOTAL, 'area.py': AREA, 'other.py': OTHER, 'calls.py': CALLS };

export async function play({ host, window, engine, step, picture }: Scene): Promise<void> {
  const { page } = window;
  const at = (place: string): Promise<void> => page.locator('.statusbar-item', { hasText: place }).waitFor();
  const mark = page.locator('.cgmr.codicon, .cgmr[class*="ced-"]'); // in the gutter
  const select = async (count: number): Promise<void> => {
    for (let each = 0; each < count; each++) {
      await page.keyboard.press('Shift+ArrowRight');
    }
  };
  engine.suggestion = '';
  await window.openFile('total.py');
  await window.says('Code Llama: stand-in');

  await step('a name is changed: one key goes to its other places and changes them, each a step to undo', async () => {
    await window.goTo(2, 5);
    await page.keyboard.press('Control+Shift+ArrowRight');
    await page.keyboard.insertText('amount');
    await mark.first().waitFor();
    await picture('next-edit-dark');
    await page.keyboard.press('Tab');
    await at('Ln 4, Col 9');
    await page.keyboard.press('Tab');
    await at('Ln 5, Col 12');
    await page.keyboard.press('Tab');
    await window.save();
    assert.equal(host.read('total.py'), TOTAL.replaceAll('result', 'amount'));
    await page.keyboard.press('Control+z');
    await window.save();
    assert.match(host.read('total.py'), /amount \+= number\n {4}return result/);
    await page.keyboard.press('Control+z');
    await page.keyboard.press('Control+z');
    await window.save();
    assert.equal(host.read('total.py'), TOTAL);
  });
  await step('a rewrite made twice is offered a third time; Esc sends it away, and Tab is a tab again', async () => {
    await window.openFile('calls.py');
    for (const line of [1, 2]) {
      await window.goTo(line, 1);
      await select('print'.length);
      await page.keyboard.insertText('log');
    }
    await mark.first().waitFor();
    await page.keyboard.press('Escape');
    await mark.first().waitFor({ state: 'detached' });
    await window.goTo(4);
    await page.keyboard.press('Tab');
    await window.save();
    assert.equal(host.read('calls.py'), `${CALLS.replace('print("a"', 'log("a"').replace('print("b"', 'log("b"')}    `);
  });
  await step('a parameter is removed: its three calls, in this file and in one that is not open', async () => {
    await window.openFile('area.py');
    await window.goTo(1, 15);
    await select(', unit'.length);
    await page.keyboard.press('Delete');
    await mark.first().waitFor();
    await page.keyboard.press('Tab');
    await at('Ln 5, Col 12');
    await page.keyboard.press('Tab');
    await at('Ln 6, Col 12');
    await page.keyboard.press('Tab');
    // Its name is shown first; what VS Code puts behind a line is no text of the page.
    await page.waitForFunction(() => [...document.querySelectorAll('.view-line span')].some((each) => getComputedStyle(each, '::after').content.includes('other.py:3')));
    await picture('next-edit-other-file-dark');
    await window.save();
    assert.equal(host.read('area.py'), AREA.replace(', unit', '').replace('1, 2', '1').replace('3, 4', '3'));
    await page.keyboard.press('Tab');
    await page.locator('.tab.active', { hasText: 'other.py' }).waitFor();
    await at('Ln 3, Col 13');
    await mark.first().waitFor();
    await page.keyboard.press('Tab');
    await window.save();
    assert.equal(host.read('other.py'), OTHER.replace('5, 6', '5'));
  });
}

if (isAlone(import.meta.filename)) {
  await scene('the next edit', (engine) => ({ files: FILES, settings: standIn(engine) }), play);
}
