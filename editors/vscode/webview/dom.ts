/** Elements, briefly. Text is always text. */

type Child = Node | string | null | undefined | false;
type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

/** An element; attributes that are functions listen to the event of that name. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name, value);
    } else if (value === true) {
      element.setAttribute(name, '');
    } else if (value !== false) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.filter((each): each is Node | string => each instanceof Node || (typeof each === 'string' && each !== '')));
  return element;
}

/** A button with an icon of `icons` and a label that is read out and shown as a tip. */
export function button(icon: keyof typeof ICONS, label: string, work: () => void, kind = ''): HTMLButtonElement {
  const made = h('button', { class: `icon ${kind}`.trim(), type: 'button', title: label, 'aria-label': label, click: work });
  made.append(iconOf(icon));
  return made;
}

export function iconOf(icon: keyof typeof ICONS): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[icon]);
  svg.append(path);
  return svg;
}

/** Outlines on a grid of 16, drawn as strokes. */
const ICONS = {
  send: 'M2.5 8h10M8.5 4l4 4-4 4',
  stop: 'M4 4h8v8H4z',
  add: 'M8 3v10M3 8h10',
  copy: 'M6 6h7v7H6zM10 3H3v7',
  insert: 'M3 3h10M3 13h10M8 5v6M5.5 8.5L8 11l2.5-2.5',
  apply: 'M4 8.5l3 3 5.5-7',
  create: 'M4 2.5h5l3 3v8H4zM8 6.5v5M5.5 9h5',
  edit: 'M3 13l1-3.5 7-7 2.5 2.5-7 7z',
  again: 'M12.5 5.5A5 5 0 1 0 13 8M13 3v3h-3',
  close: 'M4 4l8 8M12 4l-8 8',
  eye: 'M1.5 8S4 4 8 4s6.5 4 6.5 4S12 12 8 12 1.5 8 1.5 8zM8 6.5A1.5 1.5 0 1 0 8 9.5 1.5 1.5 0 1 0 8 6.5',
  trash: 'M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.5 9h6l.5-9',
  export: 'M8 2.5v7M5.5 5L8 2.5 10.5 5M3 9v4.5h10V9',
} as const;
