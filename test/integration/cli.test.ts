/** The command line as people meet it: processes, their output and their exit codes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startHttp } from '../../node/http/server.ts'
import { at, ROOT, sentence, start, useCli, wikiseed } from '../support/cli.ts'
import { Cores, testShard } from '../support/cores.ts'
import { statusOf } from '../support/status.ts'

useCli()

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
      'read',
      'get',
      'restore',
      'extract',
      'drill',
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
    ['read'],
    ['get'],
    ['restore'],
    ['extract'],
    ['drill'],
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
    const flags = ['--root', 'gone.json', '--contact', 'me@example.org', '--data', at('data')]
    expect(sentence(await wikiseed('start', ...flags))).toMatch(/gone\.json/)
    expect(sentence(await wikiseed('start', ...flags, '--capacity', 'lots'))).toContain(
      '--capacity: "lots" is not a size',
    )
    expect(
      sentence(await wikiseed('coordinator', 'start', '--contact', 'me@example.org', '--data', at())),
    ).toMatch(/key|root/)
  })
})

describe('on the Node of this machine, which may be an older one', () => {
  it('works all the same: it starts again with the Node of the clone', async () => {
    const folders = (process.env.PATH ?? '').split(':').filter((one) => !one.includes('node_modules'))
    const machines = folders.map((one) => join(one, 'node')).find((path) => existsSync(path))
    expect(machines).toBeDefined()
    const ended = await start(['--version'], machines).ended
    expect(ended).toMatchObject({ code: 0, error: '' })
    expect((await start(['nothing'], machines).ended).code).toBe(1)
  })
})

describe('wikiseed identity', () => {
  it('makes a key once and gives the same peer id ever after', async () => {
    const first = await wikiseed('identity', '--data', 'a')
    expect(first.out).toMatch(/^12D3KooW\w{44}\n$/)
    const again = await wikiseed('identity', '--data', 'a', '--json')
    expect(JSON.parse(again.out)).toEqual({ node: first.out.trim(), data: at('a') })
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
    writeFileSync(at('parameters.json'), '{"replicas":2}')
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
    writeFileSync(at('parameters.json'), '{"replicas":9}')
    expect(
      sentence(await wikiseed('coordinator', 'init', ...flags, '--parameters', 'parameters.json')),
    ).toContain('replicas')
  })
})

describe('wikiseed status', () => {
  it('asks a running node', async () => {
    const cores = new Cores(3, [testShard('tenwiki')])
    const [machine] = cores.machines
    if (machine === undefined) throw new Error('no machine')
    cores.run(200_000, () => cores.allSafe(machine))
    const server = await startHttp({
      port: 0,
      status: () => statusOf(cores, machine),
      shards: () => [],
      receipts: async () => ({ total: 0, receipts: [] }),
    })
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
  it('runs until SIGTERM; a port or folder in use or a disk too small is one sentence', async () => {
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
    const huge = node('c', '127.0.0.1:0').map((flag) => (flag === '10MB' ? '9000TB' : flag))
    expect(sentence(await wikiseed(...huge))).toMatch(/the disk of .* has .*, too small for a capacity of/)
    running.child.kill('SIGTERM')
    expect((await running.ended).code).toBe(0)
  }, 60_000)
})
