/** Whether the server that was found fits this extension: both have the same version up to the last number. */

/** A sentence that says what is wrong, or undefined. */
export function mismatch(server: string | undefined, wanted: string): string | undefined {
  if (!server) {
    return 'The language server does not say its version; it may be too old for this extension.';
  }
  const [theirs, ours] = [numbers(server), numbers(wanted)];
  const order = compared(theirs, ours);
  if (order === 0) {
    return undefined;
  }
  const line = ours.slice(0, 2).join('.');
  return order < 0
    ? `codellama-ls ${server} is older than this extension, which needs ${line}: update codellama-ls.`
    : `codellama-ls ${server} is newer than this extension, which was made for ${line}: update the extension.`;
}

function compared(a: readonly number[], b: readonly number[]): number {
  return Math.sign((a[0] ?? 0) - (b[0] ?? 0)) || Math.sign((a[1] ?? 0) - (b[1] ?? 0));
}

function numbers(version: string): number[] {
  return (version.match(/\d+/g) ?? []).map(Number);
}
