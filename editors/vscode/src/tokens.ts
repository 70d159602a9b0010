/** The tokens of remote engines, each kept with the address that it was given for: it is sent to no other. Pure. */

/** Tokens by the origin of their server. */
export type Tokens = Readonly<Record<string, string>>;

/** The origins of `codellama.engineUrl`, which may have several addresses, as people paste them. */
export function origins(addresses: string): string[] {
  const found = addresses.split(/[\s,]+/).map((each) => origin(each.replace(/^["'`\u2018\u2019\u201c\u201d]+|["'`\u2018\u2019\u201c\u201d]+$/g, '')));
  return [...new Set(found.filter((each) => each !== ''))];
}

function origin(address: string): string {
  try {
    const found = new URL(address.includes('://') ? address : `http://${address}`);
    return /^https?:$/.test(found.protocol) && address ? found.origin : '';
  } catch {
    return '';
  }
}

/** What the secret store has. Before addresses were kept with them it had one token, which was of the address set then. */
export function read(secret: string | undefined, addresses: string): Tokens {
  if (!secret) {
    return {};
  }
  try {
    const found: unknown = JSON.parse(secret);
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) {
      return Object.fromEntries(Object.entries(found).filter((each): each is [string, string] => typeof each[1] === 'string'));
    }
  } catch {
    // a token alone
  }
  return given({}, origins(addresses), secret);
}

/** With a token for these origins; "" takes theirs away. */
export function given(tokens: Tokens, these: readonly string[], token: string): Tokens {
  const others = Object.entries(tokens).filter(([each]) => !these.includes(each));
  return Object.fromEntries([...others, ...(token ? these.map((each): [string, string] => [each, token]) : [])]);
}

/** As the secret store has them; "" for none. */
export function written(tokens: Tokens): string {
  return Object.keys(tokens).length ? JSON.stringify(tokens) : '';
}

/** As `codellama.engineToken`: for each server its address, a space and its token. */
export function sent(tokens: Tokens): string {
  return Object.entries(tokens)
    .map(([each, token]) => `${each} ${token.replace(/^["'\s]*(?:bearer\s+)?|["'\s]+$/gi, '')}`)
    .join(' ');
}
