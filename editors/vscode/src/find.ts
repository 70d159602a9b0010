/** Where `codellama-ls` is: the setting, the Python extension's interpreter, the PATH, pipx, uv. Pure but for `isFile`. */
import * as path from 'node:path';

export interface Surroundings {
  readonly windows: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly isFile: (path: string) => boolean;
}

export interface Found {
  readonly path: string;
  /** In words, e.g. "on the PATH". */
  readonly where: string;
}

export const PROGRAM = 'codellama-ls';

/** The program, or a sentence that says why there is none. `avoid`: folders whose programs are not started. */
export function find(
  setting: string,
  interpreter: string | undefined,
  around: Surroundings,
  avoid: readonly string[] = [],
): Found | string {
  if (setting.trim()) {
    const named = expanded(setting.trim(), around);
    const places = [named, ...inEnvironment(named, around)];
    const path = places.find(around.isFile);
    return path ? { path, where: 'by the setting codellama.serverPath' } : `There is no ${PROGRAM} at ${named} (codellama.serverPath).`;
  }
  const found = candidates(interpreter, around).find(
    (each) => around.isFile(each.path) && !avoid.some((folder) => isWithin(each.path, folder)),
  );
  return found ?? `${PROGRAM} is not installed.`;
}

/** All places to look at, in their order. */
export function candidates(interpreter: string | undefined, around: Surroundings): Found[] {
  const { env, home, windows } = around;
  const join = windows ? path.win32.join : path.posix.join;
  const folders: [string | undefined, string][] = [
    [interpreter && (windows ? path.win32 : path.posix).dirname(interpreter), "beside the Python extension's interpreter"],
    [interpreter && windows ? join(path.win32.dirname(interpreter), 'Scripts') : undefined, "beside the Python extension's interpreter"],
    ...(env['PATH'] ?? env['Path'] ?? '')
      .split(windows ? ';' : ':')
      .filter((folder) => (windows ? path.win32 : path.posix).isAbsolute(folder))
      .map((folder): [string, string] => [folder, 'on the PATH']),
    [env['PIPX_BIN_DIR'], 'installed by pipx'],
    [env['UV_TOOL_BIN_DIR'], 'installed by uv'],
    [env['XDG_BIN_HOME'], 'installed by uv'],
    [join(home, '.local', 'bin'), 'installed for this user'],
    ...['.local/share/pipx/venvs', '.local/pipx/venvs', 'pipx/venvs', 'Library/Application Support/pipx/venvs'].map(
      (folder): [string, string] => [join(home, ...folder.split('/'), PROGRAM, windows ? 'Scripts' : 'bin'), 'installed by pipx'],
    ),
    [join(env['XDG_DATA_HOME'] ?? join(home, '.local', 'share'), 'uv', 'tools', PROGRAM, 'bin'), 'installed by uv'],
    [windows && env['APPDATA'] ? join(env['APPDATA'], 'uv', 'tools', PROGRAM, 'Scripts') : undefined, 'installed by uv'],
  ];
  return folders.flatMap(([folder, where]) => (folder ? [{ path: join(folder, fileName(windows)), where }] : []));
}

/** The command that installs the server, by what there is on this machine. */
export function installCommand(around: Surroundings): string {
  const has = (name: string): boolean =>
    candidates(undefined, around).some((each) =>
      around.isFile(each.path.replace(fileName(around.windows), around.windows ? `${name}.exe` : name)),
    );
  if (has('uv')) {
    return `uv tool install "${PROGRAM}[engine]"`;
  }
  if (has('pipx')) {
    return `pipx install "${PROGRAM}[engine]"`;
  }
  return `${around.windows ? 'py' : 'python3'} -m pip install --user "${PROGRAM}[engine]"`;
}

function inEnvironment(folder: string, { windows }: Surroundings): string[] {
  const join = windows ? path.win32.join : path.posix.join;
  return [join(folder, windows ? 'Scripts' : 'bin', fileName(windows)), join(folder, fileName(windows))];
}

function fileName(windows: boolean): string {
  return windows ? `${PROGRAM}.exe` : PROGRAM;
}

function expanded(name: string, { home, windows }: Surroundings): string {
  return /^~(?=$|[\\/])/.test(name) ? (windows ? path.win32 : path.posix).join(home, name.slice(1)) : name;
}

function isWithin(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}
