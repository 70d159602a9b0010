/** Where `codellama-ls` is: the setting, the Python extension's interpreter, the PATH, pipx, uv. Pure but for `isFile` and `real`. */
import * as path from 'node:path';

export interface Surroundings {
  readonly windows: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly isFile: (path: string) => boolean;
  /** Where the links of a path lead; the path itself where it is not there. */
  readonly real: (path: string) => string;
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
    if (!isAbsolute(named, around)) {
      return `codellama.serverPath must be a full path, such as ~/.local/bin/${PROGRAM}, not ${named}.`;
    }
    const places = [named, ...inEnvironment(named, around)];
    const path = places.find(around.isFile);
    return path ? { path, where: 'by the setting codellama.serverPath' } : `There is no ${PROGRAM} at ${named} (codellama.serverPath).`;
  }
  const found = candidates(interpreter, around).find(
    (each) => around.isFile(each.path) && !isUnder(each.path, avoid, around),
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
      .map((folder): [string, string] => [folder, 'on the PATH']),
    [env['PIPX_BIN_DIR'], 'installed by pipx'],
    [env['UV_TOOL_BIN_DIR'], 'installed by uv'],
    [env['XDG_BIN_HOME'], 'installed by uv'],
    [join(home, '.local', 'bin'), 'installed for this user'],
    [join(ownEnvironment(around), windows ? 'Scripts' : 'bin'), 'installed for this user'],
    ...['.local/share/pipx/venvs', '.local/pipx/venvs', 'pipx/venvs', 'Library/Application Support/pipx/venvs'].map(
      (folder): [string, string] => [join(home, ...folder.split('/'), PROGRAM, windows ? 'Scripts' : 'bin'), 'installed by pipx'],
    ),
    [join(env['XDG_DATA_HOME'] ?? join(home, '.local', 'share'), 'uv', 'tools', PROGRAM, 'bin'), 'installed by uv'],
    [windows && env['APPDATA'] ? join(env['APPDATA'], 'uv', 'tools', PROGRAM, 'Scripts') : undefined, 'installed by uv'],
  ];
  // A folder that depends on where one is may be one of the workspace.
  return folders.flatMap(([folder, where]) => (folder && isAbsolute(folder, around) ? [{ path: join(folder, fileName(windows)), where }] : []));
}

/** The environment that `installCommand` makes where there is neither uv nor pipx. */
function ownEnvironment({ home, windows }: Surroundings): string {
  return (windows ? path.win32 : path.posix).join(home, '.local', 'share', PROGRAM, 'venv');
}

/** The command that installs the server, by what there is on this machine, or puts it in the place of an older one. `source`: its wheel or folder. */
export function installCommand(around: Surroundings, source: string, again = false): string {
  const has = (name: string): boolean =>
    candidates(undefined, around).some((each) =>
      around.isFile(each.path.replace(fileName(around.windows), around.windows ? `${name}.exe` : name)),
    );
  const force = again ? ' --force' : '';
  if (has('uv')) {
    return `uv tool install${force} "${source}[engine]"`;
  }
  if (has('pipx')) {
    return `pipx install${force} "${source}[engine]"`;
  }
  // An environment of its own: into that of the system, pip installs nothing on Debian and its like.
  const folder = ownEnvironment(around);
  return around.windows
    ? `py -m venv "${folder}"; & "${folder}\\Scripts\\python.exe" -m pip install "${source}[engine]"`
    : `python3 -m venv "${folder}" && "${folder}/bin/python" -m pip install "${source}[engine]"`;
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

/** Whether a path is one of these folders or in one, by its name or by where its links lead. */
export function isUnder(file: string, folders: readonly string[], around: Surroundings): boolean {
  const { relative, isAbsolute, sep } = around.windows ? path.win32 : path.posix;
  const bothNames = (each: string): string[] => [each, around.real(each)];
  const isWithin = (inner: string, outer: string): boolean => {
    const way = relative(outer, inner);
    return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
  };
  return folders.flatMap(bothNames).some((folder) => bothNames(file).some((name) => isWithin(name, folder)));
}

/** Whether a path says where it is from whichever folder one looks. */
export function isAbsolute(name: string, { windows }: Surroundings): boolean {
  return (windows ? path.win32 : path.posix).isAbsolute(name);
}
