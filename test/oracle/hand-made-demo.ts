// A demo's folder made by hand, without product and world, for the tests of safe.py.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import createTorrent from 'create-torrent'
import { afterEach, beforeEach } from 'vitest'
import { z } from 'zod'

const script = join(import.meta.dirname, 'safe.py')
export const runFolder = 'htwiki/20260101'
export const dumpNames = ['htwiki-20260101-page.sql.gz', 'htwiki-20260101-pages-articles.xml.bz2']
export const bytesOf = (name: string) => Buffer.alloc(40_000, name)
export const hex = (algorithm: string, data: Buffer) => createHash(algorithm).update(data).digest('hex')
const digests = (data: Buffer) => ({
  md5: hex('md5', data),
  sha1: hex('sha1', data),
  sha256: hex('sha256', data),
  size: data.length,
})

const status = '{"jobs":{}}\n'

/** First 8 hex of the shard digest (PROTOCOL 1). */
function digest8(): string {
  const rows = dumpNames.map((name) => {
    const { size, md5, sha1 } = digests(bytesOf(name))
    return `20260101/${name}\t${size}\tmd5:${md5},sha1:${sha1}\n`
  })
  return hex('sha256', Buffer.from(`${rows.join('')}${status}bundle-version\t1\n`)).slice(0, 8)
}

export const metadataFolder = `${runFolder}/wikiseed-${digest8()}`

const Summary = z.object({
  safe: z.boolean(),
  agrees: z.boolean().nullable(),
  disagreements: z.array(z.string()),
  shards: z.array(
    z.object({
      id: z.string(),
      infohash: z.string().nullable(),
      replicas: z.number(),
      holders: z.array(z.string()),
      archived: z.boolean(),
      safe: z.boolean(),
      problems: z.array(z.string()),
    }),
  ),
  uniqueBytes: z.number(),
  originBytes: z.number(),
  originRequests: z.number(),
  originRatio: z.number(),
  userAgents: z.array(z.object({ userAgent: z.string(), bytes: z.number(), share: z.number() })),
})

let demo = ''
let server: Server | undefined

export function put(path: string, data: string | Buffer): void {
  mkdirSync(dirname(join(demo, path)), { recursive: true })
  writeFileSync(join(demo, path), data)
}

/** The three metadata files as PROTOCOL 2 wants them; README.txt and STATUS.json are given texts. */
export function metadata(): Record<string, string> {
  const files = Object.fromEntries(dumpNames.map((name) => [`20260101/${name}`, digests(bytesOf(name))]))
  return {
    'HASH.json': `${JSON.stringify({ files, shard: 'dumps/htwiki/20260101', version: 1 })}\n`,
    'STATUS.json': status,
    'README.txt': 'A shard made by hand.\n',
  }
}

function putCopy(node: string): void {
  for (const name of dumpNames) put(`${node}/mirror/${runFolder}/${name}`, bytesOf(name))
  for (const [name, text] of Object.entries(metadata())) put(`${node}/mirror/${metadataFolder}/${name}`, text)
}

export function writeDemo({
  operators,
  url = 'http://127.0.0.1:9',
}: {
  operators: string[]
  url?: string
}): void {
  const nodes = operators.map((operator, i) => ({
    name: `node-${i + 1}`,
    operator,
    peerId: `peer-${i + 1}`,
    dataDir: join(demo, `node-${i + 1}`),
    httpUrl: url,
  }))
  const world = {
    url,
    wikimedia: url,
    archive: url,
    stateDir: 'world',
    logFile: 'world/access.log',
    dumps: 'dumps',
  }
  const coordinator = { dataDir: join(demo, 'coordinator'), httpUrl: url }
  put('demo.json', JSON.stringify({ world, coordinator, nodes, published: { localDir: 'published' } }))
}

export async function ask(...flags: string[]): Promise<{ code: number; summary: z.infer<typeof Summary> }> {
  const { code, stdout, stderr } = await runScript('--json', ...flags)
  if (code === 3) throw new Error(stderr)
  return { code, summary: Summary.parse(JSON.parse(stdout)) }
}

export function runScript(...flags: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      'python3',
      [script, '--demo', demo, ...flags],
      { timeout: 30_000 },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

/** Stands for the archive's metadata API and the coordinator. */
export async function listen(answers: Record<string, unknown>): Promise<string> {
  const listening = createServer((request, response) => {
    const answer = answers[request.url ?? '']
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? {}))
  })
  server = listening
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = listening.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

/** The files of the torrent in its order, as path relative to its name and bytes. */
function heldFiles(): [string, Buffer][] {
  const texts = Object.entries(metadata())
  return [
    ...dumpNames.map((name): [string, Buffer] => [`20260101/${name}`, bytesOf(name)]),
    ...texts.map(([name, text]): [string, Buffer] => [
      `20260101/wikiseed-${digest8()}/${name}`,
      Buffer.from(text),
    ]),
  ]
}

/** Rows of an item that holds the shard whole, sizes as strings as the API gives them. */
export function archiveRows(): { name: string; size: string; md5: string; sha1: string }[] {
  return heldFiles().map(([name, data]) => ({
    name,
    size: `${data.length}`,
    md5: hex('md5', data),
    sha1: hex('sha1', data),
  }))
}

/** A .torrent of the shard by create-torrent, which keeps the order of the buffers it is given. */
export function torrentFile(): Promise<Uint8Array> {
  const inputs = heldFiles().map(([path, data]) => Object.assign(data, { name: `htwiki/${path}` }))
  return new Promise((resolve, reject) => {
    createTorrent(inputs, { name: 'htwiki', pieceLength: 16_384, announceList: [] }, (error, made) =>
      error ? reject(error) : resolve(made),
    )
  })
}

export async function infohash(): Promise<string> {
  const { summary } = await ask('--offline')
  return summary.shards[0]?.infohash ?? 'none'
}

export const claim = (values: object) => ({
  shards: [
    { id: 'dumps/htwiki/20260101', bytes: 80_000, replicas: 3, safe: true, published: false, ...values },
  ],
})

export const logLine = (values: object) =>
  `${JSON.stringify({ service: 'wikimedia', method: 'GET', status: 200, userAgent: 'a', ...values })}\n`

/** Before each test a fresh folder with three full copies at three operators of one run; after it, nothing is left. */
export function withHandMadeDemo(): void {
  beforeEach(() => {
    demo = mkdtempSync(join(tmpdir(), 'wikiseed-oracle-'))
    for (const name of dumpNames) put(`dumps/${runFolder}/${name}`, bytesOf(name))
    put('dumps/htwiki/20260101/htwiki-20260101-sha1sums.txt', 'not a dump file')
    put('world/access.log', '')
    for (const node of ['node-1', 'node-2', 'node-3']) putCopy(node)
    writeDemo({ operators: ['ann', 'ben', 'cem', 'dee'] })
  })

  afterEach(async () => {
    const closing = server
    server = undefined
    if (closing) await new Promise((resolve) => closing.close(resolve))
    rmSync(demo, { recursive: true, force: true })
  })
}

/** A path inside the demo's folder of this test. */
export const inDemo = (path: string): string => join(demo, path)
