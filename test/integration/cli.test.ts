/** The command line as people meet it: processes, their output and their exit codes. */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import createTorrent from 'create-torrent'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startHttp } from '../../node/http/server.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { Cores, testShard } from '../support/cores.ts'
import { statusOf } from '../support/status.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const WIKISEED = join(ROOT, 'node', 'wikiseed.js')
const RUN = join(ROOT, 'test', 'fixtures', 'dumps', 'aawiki', '20260101')

let folder: string
const children = new Set<ChildProcess>()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wikiseed-cli-'))
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

function start(
  args: readonly string[],
  node = process.execPath,
): { child: ChildProcess; ended: Promise<Ended> } {
  const env = { PATH: process.env.PATH ?? '', HOME: folder }
  const child = spawn(node, [WIKISEED, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  children.add(child)
  const ended = new Promise<Ended>((resolve, reject) => {
    let out = ''
    let error = ''
    child.stdout?.on('data', (data) => {
      out += data
    })
    child.stderr?.on('data', (data) => {
      error += data
    })
    child.on('error', reject)
    child.on('close', (code) => {
      children.delete(child)
      resolve({ code, out, error })
    })
  })
  return { child, ended }
}

const wikiseed = (...args: string[]) => start(args).ended
/** An expected failure: code 1, one line on stderr, no stack. */
const sentence = (ended: Ended): string => {
  expect(ended.code).toBe(1)
  expect(ended.error.trim().split('\n')).toHaveLength(1)
  return ended.error.trim()
}

describe('wikiseed', () => {
  it('lists its commands, and tells its version', async () => {
    const help = await wikiseed('--help')
    expect(help.code).toBe(0)
    for (const name of [
      'start',
      'status',
      'identity',
      'verify',
      'torrent',
      'manifest',
      'coordinator',
      'demo',
    ]) {
      expect(help.out).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
    }
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(await wikiseed('--version')).toEqual({ code: 0, out: `${version}\n`, error: '' })
  })

  it.each([
    ['start'],
    ['status'],
    ['identity'],
    ['verify'],
    ['torrent', 'create'],
    ['manifest', 'verify'],
    ['coordinator', 'init'],
    ['coordinator', 'start'],
    ['demo'],
  ])('shows examples: %s %s', async (...words) => {
    const help = await wikiseed(...words.filter(Boolean), '--help')
    expect(help.code).toBe(0)
    expect(help.out).toMatch(/^Examples:\n {2}.*wikiseed /m)
  })

  it('names an unknown command or flag, and one that was meant', async () => {
    const command = await wikiseed('sttus')
    expect([command.code, command.out]).toEqual([1, ''])
    expect(command.error).toMatch(/^wikiseed: unknown command 'sttus'\n\(Did you mean status\?\)\n$/)
    expect(sentence(await wikiseed('verify', '--strange', 'x'))).toContain("unknown option '--strange'")
    expect(sentence(await wikiseed('verify'))).toContain("missing required argument 'path'")
  })

  it('says in one sentence what a setting lacks', async () => {
    expect(sentence(await wikiseed('start'))).toMatch(/^wikiseed: --root <file> is needed/)
    const flags = ['--root', 'gone.json', '--contact', 'me@example.org', '--data', join(folder, 'data')]
    expect(sentence(await wikiseed('start', ...flags))).toMatch(/gone\.json/)
    expect(sentence(await wikiseed('start', ...flags, '--capacity', 'lots'))).toContain(
      '--capacity: "lots" is not a size',
    )
    expect(sentence(await wikiseed('coordinator', 'start', '--contact', 'x', '--data', folder))).toMatch(
      /key|root/,
    )
  })
})

describe('on an older Node', () => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path))

  it.skipIf(old === undefined)('it starts again with the Node of the clone', async () => {
    const ended = await start(['--version'], old).ended
    expect(ended).toMatchObject({ code: 0, error: '' })
    expect((await start(['nothing'], old).ended).code).toBe(1)
  })
})

describe('wikiseed identity', () => {
  it('makes a key once and gives the same peer id ever after', async () => {
    const first = await wikiseed('identity', '--data', 'a')
    expect(first.out).toMatch(/^12D3KooW\w{44}\n$/)
    const again = await wikiseed('identity', '--data', 'a', '--json')
    expect(JSON.parse(again.out)).toEqual({ node: first.out.trim(), data: join(folder, 'a') })
    expect((await wikiseed('identity', '--data', 'b')).out).not.toBe(first.out)
  })
})

describe('wikiseed coordinator init', () => {
  const flags = [
    '--data',
    'seed',
    '--name',
    'Test',
    '--operator',
    'library',
    '--address',
    '/ip4/127.0.0.1/tcp/4811',
  ]

  it('founds a federation once; keys are never overwritten', async () => {
    writeFileSync(join(folder, 'parameters.json'), '{"replicas":2}')
    const made = JSON.parse(
      (await wikiseed('coordinator', 'init', ...flags, '--parameters', 'parameters.json', '--json')).out,
    )
    expect(made.federation).toMatch(/^[0-9a-f]{64}$/)
    const root = JSON.parse(readFileSync(made.root, 'utf8'))
    expect(root.signed.wikiseed).toMatchObject({
      name: 'Test',
      coordinators: [
        { nodeId: made.node, operator: 'library', multiaddrs: [`/ip4/127.0.0.1/tcp/4811/p2p/${made.node}`] },
      ],
      parameters: [{ values: { replicas: 2 } }],
    })
    expect(sentence(await wikiseed('coordinator', 'init', ...flags))).toContain('keys are never overwritten')
  })

  it('names a parameter that there is not', async () => {
    writeFileSync(join(folder, 'parameters.json'), '{"replicas":9}')
    expect(
      sentence(await wikiseed('coordinator', 'init', ...flags, '--parameters', 'parameters.json')),
    ).toContain('replicas')
  })
})

describe('wikiseed torrent create', () => {
  const Made = z.object({
    source: z.string(),
    ignored: z.array(z.string()),
    shards: z.array(z.object({ id: z.string(), infohash: z.string(), torrent: z.string().nullable() })),
  })
  const create = async (...args: string[]) => {
    const ended = await wikiseed('torrent', 'create', ...args, '--json')
    expect(ended.error).toBe('')
    return Made.parse(JSON.parse(ended.out))
  }

  it('gives the infohash that create-torrent computes of the same files, whatever the folder is called', async () => {
    const copy = join(folder, 'any name')
    cpSync(RUN, copy, { recursive: true })
    const made = await create(copy, '--metadata', '--out', folder)
    const [shard] = made.shards
    const torrent = decodeMetainfo(readFileSync(shard?.torrent ?? ''))
    expect(torrent?.infohash).toBe(shard?.infohash)

    const mirror = join(folder, 'mirror', 'aawiki')
    mkdirSync(mirror, { recursive: true })
    cpSync(copy, join(mirror, '20260101'), { recursive: true })
    const [metadata] = readdirSync(join(mirror, '20260101')).filter((name) => name.startsWith('wikiseed-'))
    const dumps = readdirSync(RUN).sort()
    const order = [
      ...dumps,
      ...['HASH.json', 'STATUS.json', 'README.txt'].map((name) => `${metadata}/${name}`),
    ]
    const input = order.map((name) =>
      Object.assign(readFileSync(join(mirror, '20260101', name)), { name: `aawiki/20260101/${name}` }),
    )
    const options = { name: 'aawiki', pieceLength: 16_384, announceList: [] }
    const oracle = await promisify(createTorrent)(input, options)
    expect(decodeMetainfo(oracle)?.infohash).toBe(shard?.infohash)
  })

  it('gives the same from a held copy as from bare files', async () => {
    const bare = await create(RUN)
    expect(bare.source).toBe('file names')
    const copy = join(folder, 'copy')
    cpSync(RUN, copy, { recursive: true })
    await create(copy, '--metadata')
    const held = await create(copy)
    expect(held.source).toBe('STATUS.json')
    expect(held.shards[0]?.infohash).toBe(bare.shards[0]?.infohash)
  })

  it('refuses in one sentence what is no run, or not whole', async () => {
    const copy = join(folder, 'copy')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('cannot be read')
    mkdirSync(copy)
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('holds no dump files')
    cpSync(RUN, copy, { recursive: true })
    await create(copy, '--metadata')
    truncateSync(join(copy, 'aawiki-20260101-pagelinks.sql.gz'), 10)
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('aawiki-20260101-pagelinks.sql.gz')
    writeFileSync(join(copy, 'tenwiki-20260101-page.sql.gz'), 'x')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('more than one run')
  })

  it('refuses a broken or unfinished dumpstatus.json', async () => {
    const copy = join(folder, 'copy')
    cpSync(RUN, copy, { recursive: true })
    writeFileSync(join(copy, 'dumpstatus.json'), '<html>')
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('not readable')
    writeFileSync(
      join(copy, 'dumpstatus.json'),
      '{"version":"0.8","jobs":{"a":{"status":"in-progress","updated":""}}}',
    )
    expect(sentence(await wikiseed('torrent', 'create', copy))).toContain('not finished')
  })
})

describe('wikiseed verify', () => {
  it('tells whole, altered, truncated, missing and foreign files apart', async () => {
    const copy = join(folder, 'mirror', 'aawiki', '20260101')
    cpSync(RUN, copy, { recursive: true })
    await wikiseed('torrent', 'create', copy, '--metadata')
    expect((await wikiseed('verify', folder)).code).toBe(0)

    const name = (rest: string) => join(copy, `aawiki-20260101-${rest}`)
    const altered = readFileSync(name('pagelinks.sql.gz'))
    altered[50] = (altered[50] ?? 0) ^ 1
    writeFileSync(name('pagelinks.sql.gz'), altered)
    truncateSync(name('categorylinks.sql.gz'), 100)
    rmSync(name('pages-meta-history.xml.7z'))
    writeFileSync(join(copy, 'strange.txt'), 'x')
    const ended = await wikiseed('verify', folder, '--json')
    expect(ended.code).toBe(1)
    const report: { files: { path: string; verdict: string }[] } = JSON.parse(ended.out)
    const verdicts = Object.fromEntries(report.files.map((file) => [file.path, file.verdict]))
    expect(verdicts).toMatchObject({
      [name('pagelinks.sql.gz')]: 'altered',
      [name('categorylinks.sql.gz')]: 'truncated',
      [name('pages-meta-history.xml.7z')]: 'missing',
      [name('pages-meta-current.xml.bz2')]: 'whole',
      [join(copy, 'strange.txt')]: 'foreign',
    })
    expect((await wikiseed('verify', name('pages-meta-current.xml.bz2'))).code).toBe(0)
    expect((await wikiseed('verify', name('pagelinks.sql.gz'))).code).toBe(1)
  })

  it('notices a HASH.json that was changed to fit the files', async () => {
    const copy = join(folder, 'copy')
    cpSync(RUN, copy, { recursive: true })
    await wikiseed('torrent', 'create', copy, '--metadata')
    const [metadata] = readdirSync(copy).filter((name) => name.startsWith('wikiseed-'))
    const path = join(copy, metadata ?? '', 'HASH.json')
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"sha1":"../, '"sha1":"00'))
    const { code, out } = await wikiseed('verify', copy)
    expect(code).toBe(1)
    expect(out).toMatch(/^altered .*(STATUS|HASH)\.json/m)
  })

  it('reads upstream checksum lists too, and says when nothing is known', async () => {
    const dump = 'aawiki-20260101-pagelinks.sql.gz'
    cpSync(join(RUN, dump), join(folder, dump))
    expect(sentence(await wikiseed('verify', folder))).toContain('nothing is known')
    writeFileSync(join(folder, 'aawiki-20260101-sha1sums.txt'), `${'0'.repeat(40)}  ${dump}\n`)
    expect((await wikiseed('verify', folder)).out).toMatch(/^altered .*sha1/m)
    expect(sentence(await wikiseed('verify', 'gone'))).toContain('cannot be read')
  })
})

describe('wikiseed status', () => {
  it('asks a running node', async () => {
    const cores = new Cores(3, [testShard('tenwiki')])
    const [machine] = cores.machines
    if (machine === undefined) throw new Error('no machine')
    cores.run(200_000, () => cores.allSafe(machine))
    const server = await startHttp({ port: 0, status: () => statusOf(cores, machine), shards: () => [] })
    try {
      const { code, out } = await wikiseed('status', '--url', server.url)
      expect(code).toBe(0)
      expect(out).toContain('1 of 1 dumps safe')
      const json = await wikiseed('status', '--url', server.url, '--json')
      expect(JSON.parse(json.out)).toEqual(JSON.parse(JSON.stringify(statusOf(cores, machine))))
    } finally {
      await server.close()
    }
  })

  it('says in one sentence that nobody answers, or somebody else', async () => {
    const other = createServer((_request, answer) => answer.end('<html>'))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`
    expect(sentence(await wikiseed('status', '--url', url))).toContain('not as a WikiSeed node')
    await new Promise((resolve) => other.close(resolve))
    expect(sentence(await wikiseed('status', '--url', url))).toContain('is the node running?')
  })
})

describe('wikiseed start', () => {
  it('runs until SIGTERM; a port or folder in use is one sentence', async () => {
    const flags = ['--data', 'seed', '--name', 'Test', '--address', '/ip4/127.0.0.1/tcp/4811', '--json']
    const { root } = JSON.parse((await wikiseed('coordinator', 'init', ...flags)).out)
    const node = (data: string, http: string) => [
      ...['start', '--data', data, '--root', root, '--contact', 'me@example.org', '--capacity', '10MB'],
      ...[
        '--origin',
        'http://127.0.0.1:9/',
        '--listen',
        '/ip4/127.0.0.1/tcp/0',
        '--bittorrent-port',
        '0',
        '--http',
        http,
      ],
    ]
    const running = start(node('a', '127.0.0.1:0'))
    const url = await new Promise<string>((resolve, reject) => {
      let text = ''
      running.child.stdout?.on('data', (data) => {
        text += data
        const found = /(http:\S+)\s/.exec(text)?.[1]
        if (found !== undefined) resolve(found)
      })
      running.ended.then(({ error }) => reject(new Error(error)), reject)
    })
    expect((await fetch(new URL('healthz', url))).status).toBe(200)
    const { port } = new URL(url)
    expect(sentence(await wikiseed(...node('b', port)))).toBe(`wikiseed: HTTP port ${port} is already in use`)
    expect(sentence(await wikiseed(...node('a', '127.0.0.1:0')))).toMatch(/in use|another process/)
    running.child.kill('SIGTERM')
    expect((await running.ended).code).toBe(0)
  }, 60_000)
})
