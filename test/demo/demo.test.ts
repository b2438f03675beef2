// Longer than 300 lines: one demo is started once, and everything that is claimed of it is looked at while it runs.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import createTorrent from 'create-torrent'
import { Updater } from 'tuf-js'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { parseMagnet } from '../../protocol/torrent/magnet.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import {
  type Demo,
  type DemoFile,
  type DemoSummary,
  eventually,
  missingProgram,
  ROOT,
  type Row,
  removeDemo,
  shardsOf,
  startDemo,
} from './support.ts'

/** The figures of the issue: within 3 minutes on 2 cores. */
const TIMEOUT_S = 180

describe('the demo', () => {
  let demo: Demo | null = null
  let file: DemoFile
  let rows: Row[]

  beforeAll(
    async () => {
      demo = await startDemo([])
      const running = demo
      file = await eventually('the demo starts', 30_000, async () => {
        const now = await running.file().catch(() => null)
        return now?.coordinator !== undefined && now
      })
      rows = await eventually('everything is safe, archived and published', TIMEOUT_S * 1_000, async () => {
        const all = await shardsOf(file.coordinator)
        const done = all.every((row) => row.safe && row.archived && row.published && row.replicas >= 3)
        return all.length >= 18 && done && all
      })
    },
    (TIMEOUT_S + 60) * 1_000,
  )

  afterAll(() => removeDemo(demo), 60_000)

  it('is safe in the eyes of a separate script that looks at the disks and the archive', () => {
    const oracle = spawnSync('python3', [
      join(ROOT, 'test/oracle/safe.py'),
      '--demo',
      demo?.dir ?? '',
      '--json',
    ])
    expect(oracle.stderr.toString() + oracle.stdout.toString()).not.toBe('')
    expect(oracle.status).toBe(0)
  })

  it('has led on at least three nodes, and the others got 90 % of their bytes by BitTorrent', async () => {
    let swarmBytes = 0
    let otherBytes = 0
    let leaders = 0
    for (const node of file.nodes) {
      const own = (await shardsOf(node)).filter((row) => row.own === 'held')
      if (own.some((row) => row.led)) leaders++
      for (const row of own.filter((one) => !one.led)) {
        swarmBytes += row.fromSwarmBytes
        otherBytes += row.fromOriginBytes
      }
    }
    expect(leaders).toBeGreaterThanOrEqual(3)
    expect(swarmBytes).toBeGreaterThan(0)
    expect(swarmBytes / (swarmBytes + otherBytes)).toBeGreaterThanOrEqual(0.9)
  })

  it('gives every shard the infohash that create-torrent and libtorrent compute from the same files', async () => {
    for (const row of rows) {
      const holder = file.nodes.find((node) => row.holders.some((one) => one.node === node.peerId))
      const paths = await torrentPaths(join(holder?.dataDir ?? '', 'mirror'), row)
      expect(await createTorrentInfohash(paths, row.wiki), row.id).toBe(row.infohash)
      if (hasLibtorrent()) expect(libtorrentInfohash(paths, row.wiki), row.id).toBe(row.infohash)
    }
  })

  it('holds files that sha256sum finds as HASH.json says', async () => {
    for (const node of file.nodes) {
      for (const row of (await shardsOf(node)).filter((one) => one.own === 'held')) {
        const root = join(node.dataDir, 'mirror', row.wiki)
        const paths = await torrentPaths(join(node.dataDir, 'mirror'), row)
        const hashPath = paths.find((path) => path.relative.endsWith('/HASH.json'))?.absolute ?? ''
        const { files } = JSON.parse(await readFile(hashPath, 'utf8')) as {
          files: Record<string, { sha256: string }>
        }
        const lines = Object.entries(files).map(([path, { sha256 }]) => `${sha256}  ${path}\n`)
        const check = spawnSync('sha256sum', ['-c', '-'], { cwd: root, input: lines.join('') })
        expect(check.status, `${node.name} ${row.id} ${check.stdout}`).toBe(0)
      }
    }
  })

  it('publishes a manifest.json that minisign accepts', (context) => {
    const missing = missingProgram('minisign')
    if (missing !== null) context.skip(`${missing} is not installed`)
    const dir = file.published.localDir
    const check = spawnSync('minisign', [
      '-V',
      '-p',
      join(dir, 'minisign.pub'),
      '-m',
      join(dir, 'manifest.json'),
    ])
    expect(check.stdout.toString()).toContain('verified')
    expect(check.status).toBe(0)
  })

  it('publishes a TUF repository that the tuf-js Updater reads, with every shard as a target', async () => {
    const cache = await mkdtemp(join(tmpdir(), 'wikiseed-tuf-'))
    const server = createServer((request, response) => {
      const path = join(file.published.localDir, decodeURIComponent(request.url ?? '/'))
      readFile(path).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end(),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
      await copyFile(file.root, join(cache, 'root.json'))
      await mkdir(join(cache, 'targets'))
      const updater = new Updater({
        metadataDir: cache,
        metadataBaseUrl: `${url}/metadata`,
        targetDir: join(cache, 'targets'),
        targetBaseUrl: `${url}/targets`,
      })
      await updater.refresh()
      const manifest = JSON.parse(await readFile(join(file.published.localDir, 'manifest.json'), 'utf8')) as {
        shards: { id: string; infohash: string; torrent: string }[]
      }
      expect(manifest.shards.map((shard) => shard.infohash).sort()).toEqual(
        rows.map((row) => row.infohash).sort(),
      )
      for (const { torrent, infohash } of manifest.shards) {
        const [, cycle = '', name = ''] = /^targets\/(.+)\/[0-9a-f]{64}\.(.+)$/.exec(torrent) ?? []
        const target = await updater.getTargetInfo(`${cycle}/${name}`)
        expect(target?.custom, torrent).toMatchObject({ infohash })
        if (target !== undefined) await updater.downloadTarget(target)
      }
    } finally {
      server.close()
      await rm(cache, { recursive: true })
    }
  })

  it('is found whole by wikiseed manifest verify, by folder', () => {
    const args = [
      'node/wikiseed.js',
      'manifest',
      'verify',
      file.published.localDir,
      '--root',
      file.root,
      '--json',
    ]
    const verify = spawnSync(process.execPath, args, { cwd: ROOT })
    expect(verify.status, verify.stderr.toString() + verify.stdout.toString()).toBe(0)
  })

  it('gives a shard to aria2, which is another BitTorrent client', async (context) => {
    const { infohash } = rows.find((one) => one.wiki === 'fatwiki') as Row
    const tracker = await startTracker(file.nodes.map((node) => node.bittorrentPort))
    try {
      const torrent = await findTorrent(
        file.nodes.map((node) => join(node.dataDir, 'torrents', `${infohash}.torrent`)),
      )
      await fatwikiByAria2(context, torrent, [`--bt-tracker=${tracker.url}`])
    } finally {
      tracker.close()
    }
  }, 120_000)

  it('publishes a .torrent by which aria2 has the shard from the archive, without a peer', async (context) => {
    const torrent = await eventually("the item is in the published .torrent's url-list", 30_000, async () => {
      const dir = file.published.localDir
      const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8')) as {
        shards: { name: string; torrent: string; magnet: string }[]
      }
      const shard = manifest.shards.find(({ name }) => name === 'fatwiki')
      const path = join(dir, shard?.torrent ?? '')
      const webSeeds = decodeMetainfo(await readFile(path))?.webSeeds ?? []
      expect(parseMagnet(shard?.magnet ?? '')?.webSeeds).toEqual(webSeeds)
      return webSeeds.length === 2 && path
    })
    await fatwikiByAria2(context, torrent, [])
  }, 120_000)

  async function fatwikiByAria2(context: TestContext, torrent: string, more: string[]): Promise<void> {
    const missing = missingProgram('aria2c')
    if (missing !== null) context.skip(`${missing} is not installed`)
    const to = await mkdtemp(join(tmpdir(), 'wikiseed-aria2-'))
    try {
      const flags = ['--seed-time=0', '--enable-dht=false', '--bt-enable-lpd=false', '--bt-stop-timeout=60']
      const run = await runAsync('aria2c', [...flags, ...more, '--interface=127.0.0.1', '-d', to, torrent])
      expect(run.code, run.output).toBe(0)
      const original = join(file.world.dumps, 'fatwiki/20240920')
      for (const name of await readdir(original)) {
        const [a, b] = await Promise.all([
          sha256(join(original, name)),
          sha256(join(to, 'fatwiki/20240920', name)),
        ])
        expect(b, name).toBe(a)
      }
    } finally {
      await rm(to, { recursive: true })
    }
  }
})

describe('the demo with --exit --json', () => {
  let first: DemoSummary
  let second: DemoSummary

  beforeAll(
    async () => {
      first = await runToEnd([])
      second = await runToEnd(['--no-origin-fallback'])
    },
    2 * (TIMEOUT_S + 60) * 1_000,
  )

  it('ends with code 0, safe, every shard with three replicas, archived and published, within 3 minutes', () => {
    for (const summary of [first, second]) {
      expect(summary.safe).toBe(true)
      expect(summary.shards.length).toBeGreaterThanOrEqual(12)
      for (const shard of summary.shards) {
        expect(shard.replicas, shard.id).toBeGreaterThanOrEqual(3)
        expect([shard.archived, shard.published]).toEqual([true, true])
      }
      expect(summary.archivedBytes).toBe(summary.uniqueBytes)
      expect(summary.seconds).toBeLessThan(TIMEOUT_S)
    }
  })

  it("reads from origin at most 1.10 times the unique bytes, by the world's own log", () => {
    for (const { originBytes, uniqueBytes } of [first, second]) {
      expect(originBytes / uniqueBytes).toBeLessThanOrEqual(1.1)
      expect(originBytes).toBeGreaterThanOrEqual(uniqueBytes)
    }
  })

  it('has led on at least three nodes, with the origin fallback on or off', () => {
    for (const { nodes } of [first, second]) {
      expect(nodes.filter((node) => node.led > 0).length).toBeGreaterThanOrEqual(3)
    }
  })

  it('gives the same infohashes in two runs in different folders', () => {
    const infohashes = (summary: DemoSummary) =>
      summary.shards.map((shard) => `${shard.id} ${shard.infohash}`).sort()
    expect(infohashes(second)).toEqual(infohashes(first))
  })
})

async function runToEnd(args: readonly string[]): Promise<DemoSummary> {
  const demo = await startDemo(['--exit', '--json', '--timeout', String(TIMEOUT_S), ...args])
  try {
    const { code, lastLine } = await demo.ended
    expect(code, demo.errors()).toBe(0)
    return JSON.parse(lastLine) as DemoSummary
  } finally {
    await removeDemo(demo)
  }
}

interface TorrentPath {
  readonly relative: string
  readonly absolute: string
}

/** The files of a run's torrent in the order of PROTOCOL 2: dump files by raw-byte order of path, then the three. */
async function torrentPaths(mirror: string, row: Row): Promise<TorrentPath[]> {
  const folder = join(mirror, row.wiki, row.date)
  const names = await readdir(folder, { withFileTypes: true })
  const metadata = names.find((one) => one.isDirectory() && one.name.startsWith('wikiseed-'))?.name ?? ''
  const dumps = names.filter((one) => one.isFile()).map((one) => one.name)
  const ordered = [
    ...dumps.sort(),
    ...['HASH.json', 'STATUS.json', 'README.txt'].map((name) => `${metadata}/${name}`),
  ]
  return ordered.map((name) => ({ relative: `${row.date}/${name}`, absolute: join(folder, name) }))
}

async function createTorrentInfohash(paths: readonly TorrentPath[], name: string): Promise<string> {
  const input = await Promise.all(
    paths.map(async ({ relative, absolute }) =>
      Object.assign(await readFile(absolute), { name: `${name}/${relative}` }),
    ),
  )
  const pieceLength = pieceLengthOf(input.reduce((sum, bytes) => sum + bytes.length, 0))
  return new Promise((resolve, reject) => {
    createTorrent(input, { name, pieceLength, announceList: [] }, (error, torrent) => {
      if (error) reject(error)
      else resolve(infohashOfTorrent(Buffer.from(torrent)))
    })
  })
}

/** PROTOCOL 2, written here again: the test does not ask the product. */
function pieceLengthOf(totalBytes: number): number {
  let length = 16 * 1024
  while (length < 16 * 1024 * 1024 && Math.ceil(totalBytes / length) > 2_048) length *= 2
  return length
}

/** SHA-1 of the `info` value, found by its key: the oracles put it last but for `url-list`. */
function infohashOfTorrent(torrent: Buffer): string {
  const at = torrent.indexOf('4:infod') + 6
  return createHash('sha1')
    .update(torrent.subarray(at, endOfValue(torrent, at)))
    .digest('hex')
}

function endOfValue(bytes: Buffer, start: number): number {
  const first = String.fromCharCode(bytes[start] ?? 0)
  if (first === 'i') return bytes.indexOf('e', start) + 1
  if (first === 'l' || first === 'd') {
    let at = start + 1
    while (bytes[at] !== 0x65) at = endOfValue(bytes, at)
    return at + 1
  }
  const colon = bytes.indexOf(':', start)
  return colon + 1 + Number(bytes.subarray(start, colon).toString())
}

/** Debian's python3-libtorrent is for Debian's own interpreter. */
const DEBIAN_PYTHON = '/usr/bin/python3'

const hasLibtorrent = (): boolean => {
  const found = spawnSync(DEBIAN_PYTHON, ['-c', 'import libtorrent']).status === 0
  if (!found && process.env.CI === 'true') throw new Error('python3-libtorrent must be installed in CI')
  return found
}

function libtorrentInfohash(paths: readonly TorrentPath[], name: string): string {
  const script = join(ROOT, 'test/oracle/libtorrent_infohash.py')
  const run = spawnSync(DEBIAN_PYTHON, [script, name], { input: JSON.stringify(paths) })
  if (run.status !== 0) throw new Error(run.stderr.toString())
  return run.stdout.toString().trim()
}

/** A tracker that knows just our nodes: aria2 has no flag to name a peer. */
async function startTracker(ports: readonly number[]): Promise<{ url: string; close(): void }> {
  const peers = Buffer.concat(ports.map((port) => Buffer.from([127, 0, 0, 1, port >> 8, port & 255])))
  const body = Buffer.concat([Buffer.from(`d8:intervali60e5:peers${peers.length}:`), peers, Buffer.from('e')])
  const server = createServer((_request, response) => response.end(body))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { url: `http://127.0.0.1:${port}/announce`, close: () => server.close() }
}

async function findTorrent(candidates: readonly string[]): Promise<string> {
  for (const path of candidates) {
    if ((await readdir(dirname(path)).catch(() => [] as string[])).some((name) => path.endsWith(name)))
      return path
  }
  throw new Error('no node has the .torrent')
}

async function runAsync(
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; output: string }> {
  const { spawn } = await import('node:child_process')
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data
  })
  child.stderr.on('data', (data: Buffer) => {
    output += data
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, output }
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
