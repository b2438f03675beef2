// Small dump folders and raw requests for the tests of the miniature outside world.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export const contact = 'world-test/1 (https://example.org/bot; bot@example.org)'

/** Repeatable bytes that do not compress. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed >>> 0 || 1
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'wikiseed-world-test-'))
}

export const aawiki = {
  table: 'aawiki/20260101/aawiki-20260101-categorylinks.sql.gz',
  current: 'aawiki/20260101/aawiki-20260101-pages-meta-current.xml.bz2',
  history: 'aawiki/20260101/aawiki-20260101-pages-meta-history.xml.7z',
}

export const dumpFiles: Record<string, Buffer> = {
  [aawiki.table]: noise(2_500, 1),
  [aawiki.current]: noise(120_000, 2),
  [aawiki.history]: noise(200_000, 3),
  'aawiki/20251201/aawiki-20251201-sites.sql.gz': noise(100, 4),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2': noise(90_000, 5),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream-index.txt.bz2': noise(900, 6),
  'fatwiki/20240920/fatwiki-20240920-pages-articles-multistream2.xml.bz2.inprog': noise(50, 7),
  'other/mediawiki_content_current/fatwiki/2026-01-01/xml/bzip2/fatwiki-2026-01-01-p1p99.xml.bz2': noise(
    700,
    8,
  ),
}

/** A folder of dumps; answers its path. */
export async function makeDumps(files: Record<string, Buffer> = dumpFiles): Promise<string> {
  const root = await temporaryFolder()
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), bytes)
  }
  return root
}

export type RawAnswer = { status: number; headers: IncomingHttpHeaders; body: Buffer; cut: boolean }

export type RawRequest = {
  method?: string
  /** Sent as it stands: no normalising of dots, and a full address for the proxy form. */
  target: string
  headers?: Record<string, string>
  body?: Buffer
  /** Send the body in chunks without Content-Length. */
  chunked?: boolean
}

/** A request by node:http alone. A cut answer gives what had come, with `cut` true. */
export function raw(base: string, asked: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(base)
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { 'user-agent': contact, ...asked.headers }
    if (asked.chunked) headers['transfer-encoding'] = 'chunked'
    else if (asked.body) headers['content-length'] = String(asked.body.length)
    const options = {
      hostname,
      port,
      path: asked.target,
      method: asked.method ?? 'GET',
      headers,
      agent: false as const,
    }
    const sent = request(options, (res) => {
      const chunks: Buffer[] = []
      const answer = () => {
        const body = Buffer.concat(chunks)
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body, cut: !res.complete })
      }
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', () => undefined)
      res.on('close', answer)
    })
    sent.setTimeout(20_000, () => sent.destroy(new Error('no answer within 20 s')))
    sent.on('error', reject)
    sent.end(asked.body)
  })
}

export async function getJson(url: string, userAgent = contact): Promise<unknown> {
  const res = await fetch(url, { headers: { 'user-agent': userAgent } })
  return JSON.parse(await res.text())
}
