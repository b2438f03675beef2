/** What the law reads of a source file: its code without comments, strings and regular expressions, and its imports. */

export interface Import {
  /** As written: `../ids.ts`, `node:fs`, `@noble/hashes/sha2.js`. */
  readonly from: string
  readonly typeOnly: boolean
}

/** A slash after one of these begins a regular expression, not a division. */
const BEFORE_REGEX =
  /(?:^|[=(,:;[!&|?{}+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|throw|void|yield|await))\s*$/

/** Code with every comment, string, template text and regular expression blanked out; what stands in `${...}` stays. */
export function codeOnly(source: string): string {
  return scan(source).code
}

/** All imports and re-exports, dynamic ones included, and what is started with `new URL('./x.ts', import.meta.url)` as a Worker or by `fork`. */
export function importsOf(source: string): Import[] {
  const { code, strings } = scan(source)
  const found: Import[] = []
  // Each string is `"<n>"` in the code, so nothing inside a comment or a string can look like an import.
  const form =
    /\b(import|export)\b(\s+type\b)?(?:[^"'();=]*?\bfrom\s*|\s*)"(\d+)"|\bimport\s*\(\s*"(\d+)"|\b(?:new Worker|fork)\(\s*new URL\(\s*"(\d+)"/g
  for (const match of code.matchAll(form)) {
    const from = strings[Number(match[3] ?? match[4] ?? match[5])] ?? ''
    found.push({ from, typeOnly: match[2] !== undefined })
  }
  return found
}

function scan(source: string): { code: string; strings: string[] } {
  const strings: string[] = []
  let code = ''
  /** Depth of braces inside each open `${`. */
  const templates: number[] = []
  let at = 0
  const keep = (text: string) => {
    code += `"${strings.length}"`
    strings.push(text)
  }
  const template = () => {
    const start = at
    while (at < source.length) {
      if (source[at] === '\\') at += 2
      else if (source[at] === '`') {
        keep(source.slice(start, at++))
        return
      } else if (source.startsWith('${', at)) {
        keep(source.slice(start, at))
        at += 2
        code += ' ( '
        templates.push(0)
        return
      } else at++
    }
  }
  while (at < source.length) {
    const char = source[at] ?? ''
    if (source.startsWith('//', at)) {
      at = end(source, '\n', at)
    } else if (source.startsWith('/*', at)) {
      at = end(source, '*/', at) + 2
      code += ' '
    } else if (char === "'" || char === '"') {
      const start = ++at
      while (at < source.length && source[at] !== char) at += source[at] === '\\' ? 2 : 1
      keep(source.slice(start, at++))
    } else if (char === '`') {
      at++
      template()
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(-40))) {
      at = endOfRegex(source, at)
      code += ' 0 '
    } else if (char === '}' && templates.at(-1) === 0) {
      templates.pop()
      code += ' ) '
      at++
      template()
    } else {
      const depth = templates.length - 1
      if (depth >= 0 && char === '{') templates[depth] = (templates[depth] ?? 0) + 1
      if (depth >= 0 && char === '}') templates[depth] = (templates[depth] ?? 0) - 1
      code += char
      at++
    }
  }
  return { code, strings }
}

function end(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from)
  return found < 0 ? source.length : found
}

function endOfRegex(source: string, from: number): number {
  let inClass = false
  for (let at = from + 1; at < source.length; at++) {
    const char = source[at]
    if (char === '\\') at++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) return at + 1
    else if (char === '\n') return at
  }
  return source.length
}
