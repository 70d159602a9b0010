// What the TypeScript compiler puts into each module for `import *` and `export *`, once for all of them.

export function __createBinding(to, from, key) {
  Object.defineProperty(to, key, { enumerable: true, get: () => from[key] });
}

export function __importStar(from) {
  return from?.__esModule ? from : { ...from, default: from };
}

export function __exportStar(from, to) {
  for (const key in from) {
    if (key !== 'default' && !Object.hasOwn(to, key)) {
      __createBinding(to, from, key);
    }
  }
}

export function __reexport(to, key, get) {
  Object.defineProperty(to, key, { enumerable: true, get });
}
