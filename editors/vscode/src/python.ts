/** The interpreter that the Python extension has chosen for this workspace. */
import * as vscode from 'vscode';

interface PythonExtension {
  readonly environments?: { getActiveEnvironmentPath(): { readonly path: string } };
}

/** Its path, or undefined where there is no Python extension or it takes too long. */
export async function interpreter(): Promise<string | undefined> {
  const extension = vscode.extensions.getExtension<PythonExtension>('ms-python.python');
  if (!extension) {
    return undefined;
  }
  try {
    const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 3000));
    const exported = extension.isActive ? extension.exports : await Promise.race([extension.activate(), late]);
    return exported?.environments?.getActiveEnvironmentPath().path;
  } catch {
    return undefined;
  }
}
