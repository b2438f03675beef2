/**
 * The law of the house (docs/ARCHITECTURE.md): who may import whom, what the pure part may not touch, how long a file may be,
 * and that no file is dead. A pure function of the files, so that it can be tested itself.
 */
import { posix } from 'node:path'
import { codeOnly, importsOf } from './source.ts'

export interface Violation {
  readonly path: string
  readonly rule: 'layer' | 'library' | 'purity' | 'length' | 'dead' | 'unresolved'
  readonly detail: string
}

/** Path relative to the repository -> text. */
export type Files = ReadonlyMap<string, string>

export const LINES_MAX = 300
/** In the first lines of the file. */
const REASON = /^(?:.*\n){0,11}.*(?:Longer than|Over) 300 lines: \S.+/

/** Each library is named in one file, so that it can be exchanged there. More than one: with the reason. */
const ADAPTERS: Readonly<Record<string, readonly string[]>> = {
  '@fastify/static': ['node/http/server.ts'],
  'bittorrent-dht': ['node/transfer/dht-table.ts', 'node/transfer/bittorrent-dht.d.ts'],
  fastify: ['node/http/server.ts'],
  commander: ['node/cli.ts'],
  level: ['node/store/level-store.ts'],
  'log-update': ['node/demo/screen.ts'],
  pino: ['node/observe/log.ts'],
  'prom-client': ['node/observe/metrics.ts'],
  'tuf-js': ['node/publication/tuf-client.ts'],
  webtorrent: [
    'node/transfer/torrent-client.ts',
    'node/transfer/torrent-engine.ts',
    'node/transfer/torrent-opening.ts',
    'node/transfer/webtorrent.d.ts',
  ],
  zod: ['node/settings.ts'],
  // Reading from Wikimedia and writing to services have nothing in common but the socket; the archive streams files.
  undici: ['node/origin/client.ts', 'coordinator/http/exchange.ts', 'coordinator/preserve/put-file.ts'],
  aws4fetch: ['coordinator/publish/s3.ts'],
  '@tufjs/canonical-json': ['coordinator/publish/tuf-envelope.ts'],
  '@ipld/dag-cbor': ['protocol/codec/cbor.ts'],
}
/** libp2p is many packages that only work together: they are one library, and one folder is its adapter. */
const FOLDERS: readonly (readonly [library: RegExp, folder: string])[] = [
  [/^(?:libp2p|@libp2p\/.+|@multiformats\/.+)$/, 'node/net/'],
]
/** Small and pure, for everybody. */
const EVERYWHERE = /^@noble\/(?:hashes|curves)$/

/** Nobody imports these: a person, an operating system or a worker pool starts them. */
const ENTRIES: Readonly<Record<string, string>> = {
  'node/wikiseed.js': 'the command',
  'web/status/status.js': 'loaded by index.html',
  'web/status/words.d.ts': 'types of words.js, for the tests',
  'node/transfer/bittorrent-dht.d.ts': 'types of a package',
  'node/transfer/webtorrent.d.ts': 'types of a package',
  'node/net/memory-network.ts': 'the in-memory twin of a port, run by its conformance suite',
  'node/router/memory-router.ts': 'the in-memory twin of a port, run by its conformance suite',
  'node/store/memory-store.ts': 'the in-memory twin of a port, run by its conformance suite',
}

/** Who may import whom, by layer; the first rule whose folder fits holds. */
const LAYERS: readonly {
  readonly folder: string
  readonly may: readonly RegExp[]
  readonly but?: readonly RegExp[]
}[] = [
  { folder: 'protocol/', may: [/^protocol\//] },
  // The command line is a composition root: its commands start coordinators too.
  { folder: 'node/commands/coordinator-', may: [/^(?:protocol|node|coordinator)\//] },
  { folder: 'node/', may: [/^(?:protocol|node)\//] },
  {
    folder: 'coordinator/',
    may: [/^(?:protocol|node|coordinator)\//],
    but: [
      /^node\/runtime\/runtime\.ts$/,
      /^node\/(?:node|cli)\.ts$/,
      /^node\/wikiseed\.js$/,
      /^node\/demo\//,
      /^node\/commands\/(?!user-error\.ts$)/,
    ],
  },
  { folder: 'web/', may: [/^(?:protocol|web)\//] },
  { folder: 'test/world/', may: [/^test\/world\//] },
  { folder: 'test/', may: [/^(?:protocol|node|coordinator|web|test)\//] },
]

/** A test file may look at what it tests; what world and oracle are made of may not. */
const SEPARATE = /^test\/(?:world|oracle)\/(?!.*\.test\.ts$)/

/** No clock, no chance, no platform (HOUSE: protocol). */
const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\bDate\s*\.\s*now\b/, 'Date.now'],
  [/\bnew\s+Date\b/, 'new Date'],
  [/\bMath\s*\.\s*random\b/, 'Math.random'],
  [/\bset(?:Timeout|Interval|Immediate)\b/, 'a timer'],
  [/\bqueueMicrotask\b/, 'queueMicrotask'],
  [/\bperformance\b/, 'performance'],
  [/\bcrypto\s*\./, 'crypto'],
  [/\bglobalThis\b/, 'globalThis'],
  [/(?<!\.)\bprocess\s*[.[]/, 'process'],
  [/\bBuffer\b/, 'Buffer'],
  [/\bconsole\s*\./, 'console'],
  [/(?<![.#\w])fetch\s*\(/, 'fetch'],
]

export function lawOf(files: Files): Violation[] {
  const sources = [...files].filter(([path]) => /\.(?:ts|js)$/.test(path))
  return [
    ...sources.flatMap(([path, text]) => layerViolations(path, text, files)),
    ...sources
      .filter(([path]) => path.startsWith('protocol/'))
      .flatMap(([path, text]) => purityViolations(path, text)),
    ...[...files].flatMap(([path, text]) => lengthViolations(path, text)),
    ...deadFiles(files),
  ]
}

function layerViolations(path: string, text: string, files: Files): Violation[] {
  const out: Violation[] = []
  for (const { from } of importsOf(text)) {
    if (from.startsWith('.')) {
      const to = resolveImport(path, from)
      if (!files.has(to) && !to.endsWith('.json'))
        out.push({ path, rule: 'unresolved', detail: `${from} is not there` })
      else if (!mayImport(path, to)) out.push({ path, rule: 'layer', detail: `may not import ${to}` })
    } else if (from.startsWith('node:')) {
      if (/^(?:protocol|web)\//.test(path))
        out.push({ path, rule: 'layer', detail: `may not import ${from}` })
    } else if (!path.startsWith('test/') && !mayName(path, packageOf(from))) {
      out.push({ path, rule: 'library', detail: `may not name ${packageOf(from)}` })
    }
  }
  return out
}

function mayImport(path: string, to: string): boolean {
  if (SEPARATE.test(path)) return to.startsWith(path.split('/').slice(0, 2).join('/'))
  const layer = LAYERS.find(({ folder }) => path.startsWith(folder))
  if (layer === undefined) return true
  return layer.may.some((rule) => rule.test(to)) && !(layer.but ?? []).some((rule) => rule.test(to))
}

function mayName(path: string, library: string): boolean {
  if (EVERYWHERE.test(library)) return true
  if (path.startsWith('web/')) return false
  if (ADAPTERS[library]?.includes(path) === true) return true
  return FOLDERS.some(([name, folder]) => name.test(library) && path.startsWith(folder))
}

function packageOf(from: string): string {
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/')
}

function purityViolations(path: string, text: string): Violation[] {
  const code = codeOnly(text)
  return IMPURE.filter(([form]) => form.test(code)).map(([, what]) => ({
    path,
    rule: 'purity',
    detail: `protocol is pure, so no ${what}`,
  }))
}

function lengthViolations(path: string, text: string): Violation[] {
  if (!/\.(?:ts|js|py)$/.test(path)) return []
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
  if (lines <= LINES_MAX || REASON.test(text)) return []
  return [
    {
      path,
      rule: 'length',
      detail: `${lines} lines, and no reason at its top ("// Longer than 300 lines: why")`,
    },
  ]
}

/** Every file of the product is used by the product; a test alone does not keep one alive. */
function deadFiles(files: Files): Violation[] {
  const used = new Set<string>(Object.keys(ENTRIES))
  for (const [path, text] of files) {
    if (path.startsWith('test/') || !/\.(?:ts|js)$/.test(path)) continue
    for (const { from } of importsOf(text)) if (from.startsWith('.')) used.add(resolveImport(path, from))
  }
  return [...files.keys()]
    .filter((path) => /^(?:protocol|node|coordinator|web)\/.*\.(?:ts|js)$/.test(path) && !used.has(path))
    .map((path) => ({ path, rule: 'dead', detail: 'nobody but tests imports it, and it is no entry' }))
}

function resolveImport(path: string, from: string): string {
  return posix.join(posix.dirname(path), from)
}
