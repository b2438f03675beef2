// The x-archive headers of an upload (IAS3 headers.md, internetarchive iarequest.py).
import type { IncomingHttpHeaders } from 'node:http'
import type { Metadata } from './store.ts'

export type PutHeaders = {
  autoMakeBucket: boolean
  ignorePreexistingBucket: boolean
  keepOldVersion: boolean
  simulateError: string | undefined
  metadata: Metadata
  fileMetadata: Record<string, string>
}

export function readPutHeaders(headers: IncomingHttpHeaders): PutHeaders {
  const one = (name: string) => {
    const value = headers[name]
    return Array.isArray(value) ? value[0] : value
  }
  const metadata: Metadata = {}
  for (const [name, values] of numbered(headers, 'meta')) {
    metadata[name] = values.length === 1 && values[0] !== undefined ? values[0] : values
  }
  const fileMetadata = Object.fromEntries(
    [...numbered(headers, 'filemeta')].map(([name, values]) => [name, values.join(';')]),
  )
  return {
    autoMakeBucket: one('x-archive-auto-make-bucket') === '1',
    ignorePreexistingBucket: one('x-archive-ignore-preexisting-bucket') === '1',
    keepOldVersion: one('x-archive-keep-old-version') === '1',
    simulateError: one('x-archive-simulate-error'),
    metadata,
    fileMetadata,
  }
}

/** `x-archive-meta-<name>` and `x-archive-meta<NN>-<name>`, in order; `--` stands for an underscore. */
function numbered(headers: IncomingHttpHeaders, kind: 'meta' | 'filemeta'): Map<string, string[]> {
  const found: { name: string; index: number; value: string }[] = []
  for (const [header, raw] of Object.entries(headers)) {
    const match = new RegExp(`^x-archive-${kind}(\\d*)-(.+)$`).exec(header)
    const value = decodeValue(Array.isArray(raw) ? raw.join(', ') : (raw ?? ''))
    if (!match || value === '') continue
    const name = (match[2] ?? '').replaceAll('--', '_')
    // Names become XML elements: what could not be one is dropped.
    if (/^[a-z][a-z0-9_.-]*$/.test(name)) found.push({ name, index: Number(match[1] || 0), value })
  }
  found.sort((a, b) => a.index - b.index)
  const values = new Map<string, string[]>()
  for (const { name, value } of found) values.set(name, [...(values.get(name) ?? []), value])
  return values
}

/** `uri(<percent-encoded UTF-8>)`, or the text itself. Header bytes arrive as Latin-1 and are read as UTF-8. */
function decodeValue(raw: string): string {
  const text = raw.trim()
  const uri = /^uri\((.*)\)$/s.exec(text)?.[1]
  if (uri !== undefined) {
    try {
      return decodeURIComponent(uri)
    } catch {
      return uri
    }
  }
  return Buffer.from(text, 'latin1').toString('utf8')
}
