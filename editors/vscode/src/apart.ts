/** Where programs are started, and with what environment: apart from the workspace, so that nothing of it is run. */
import { mkdirSync } from 'node:fs';
import { isAbsolute, isUnder, type Surroundings } from './find';

export interface Apart {
  /** A folder of the extension's own: Python, and the loaders of some systems, take code from where they are started. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Python's variables, and what macOS names its interpreter by: nearly all of them name code that is loaded. */
const PYTHON = /^(?:PYTHON\w|__PYVENV_LAUNCHER__$)/i;
/** Those that load nothing: how text is read and written, and what is left out. */
const HARMLESS = /^PYTHON(?:UTF8|IOENCODING|HASHSEED|NOUSERSITE|DONTWRITEBYTECODE)$/i;
/** Lists of folders in which programs and libraries are looked for. */
const SEARCHED = /^(?:PATH|(?:LD|DYLD)_\w*PATH)$/i;

/** The folder, made where it is not there, and the environment. `avoid`: as for `find`. Throws where it cannot be made. */
export function apart(folder: string, around: Surroundings, avoid: readonly string[]): Apart {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new Error(`${folder} must be a folder that can be written to, for Code Llama to start in: ${(error as Error).message}`);
  }
  return { cwd: folder, env: environment(around, avoid) };
}

/** The environment without what would let a file of the workspace be loaded as code. */
export function environment(around: Surroundings, avoid: readonly string[]): Record<string, string> {
  const separator = around.windows ? ';' : ':';
  const kept: Record<string, string> = {};
  for (const [name, value = ''] of Object.entries(around.env)) {
    if (SEARCHED.test(name)) {
      // An empty entry means the folder that one is in, and so does an empty list.
      const folders = value.split(separator).filter((each) => isAbsolute(each, around) && !isUnder(each, avoid, around));
      if (folders.length) {
        kept[name] = folders.join(separator);
      }
    } else if (!PYTHON.test(name) || HARMLESS.test(name)) {
      kept[name] = value;
    }
  }
  return { ...kept, PYTHONSAFEPATH: '1' };
}

/** What differs from this process's environment, as a terminal takes it: null for a variable that is to go. */
export function changes(env: Apart['env'], before: Surroundings['env']): Record<string, string | null> {
  const names = [...new Set([...Object.keys(before), ...Object.keys(env)])];
  return Object.fromEntries(names.filter((name) => env[name] !== before[name]).map((name) => [name, env[name] ?? null]));
}
