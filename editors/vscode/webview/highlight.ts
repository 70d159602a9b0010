/** Colours for code: highlight.js with the languages that come up most. */
import hljs from 'highlight.js/lib/core';
import bash from 'highlight.js/lib/languages/bash';
import c from 'highlight.js/lib/languages/c';
import cpp from 'highlight.js/lib/languages/cpp';
import csharp from 'highlight.js/lib/languages/csharp';
import css from 'highlight.js/lib/languages/css';
import diff from 'highlight.js/lib/languages/diff';
import go from 'highlight.js/lib/languages/go';
import java from 'highlight.js/lib/languages/java';
import javascript from 'highlight.js/lib/languages/javascript';
import json from 'highlight.js/lib/languages/json';
import kotlin from 'highlight.js/lib/languages/kotlin';
import lua from 'highlight.js/lib/languages/lua';
import php from 'highlight.js/lib/languages/php';
import python from 'highlight.js/lib/languages/python';
import ruby from 'highlight.js/lib/languages/ruby';
import rust from 'highlight.js/lib/languages/rust';
import sql from 'highlight.js/lib/languages/sql';
import typescript from 'highlight.js/lib/languages/typescript';
import xml from 'highlight.js/lib/languages/xml';
import yaml from 'highlight.js/lib/languages/yaml';

const languages = { bash, c, cpp, csharp, css, diff, go, java, javascript, json, kotlin, lua, php, python, ruby, rust, sql, typescript, xml, yaml };
for (const [name, language] of Object.entries(languages)) {
  hljs.registerLanguage(name, language);
}

/** Longer code, or code with such lines, stays without colours. */
const MOST = 20_000;
const LONGEST_LINE = 2_000;

/** The code as HTML with colours, or undefined where it is shown plainly. */
export function highlighted(code: string, language: string): string | undefined {
  if (!language || !hljs.getLanguage(language) || code.length > MOST || hasLongLine(code)) {
    return undefined;
  }
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

function hasLongLine(code: string): boolean {
  let start = 0;
  for (let end = code.indexOf('\n'); end !== -1; start = end + 1, end = code.indexOf('\n', start)) {
    if (end - start > LONGEST_LINE) {
      return true;
    }
  }
  return code.length - start > LONGEST_LINE;
}
