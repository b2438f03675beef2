/** Six nodes as processes of their own, over TCP, without their coordinator: they find each other, lose one and get it back. */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { at, type Ended, start, useCli, wikiseed } from '../support/cli.ts'

useCli()

const NODES = 6
/** Short, so that silence is noticed while a test waits. */
const PARAMETERS = {
  ttlMs: 6_000,
  renewMs: 1_500,
  publishMinMs: 250,
  settleMs: 1_000,
  antiEntropyMs: 2_000,
  clockSkewMs: 1_000,
  restMs: 600_000,
}
const RECONNECT_MS_MAX = 10_000
const eventually = { timeout: 40_000, interval: 200 }

interface Status {
  node: string
  peers: number
  addresses: string[]
  nodes: { node: string; standing: string; self: boolean }[]
}

interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  readonly url: string
}

async function run(root: string, data: string, peers: readonly string[]): Promise<Running> {
  const { child, ended } = start([
    ...['start', '--data', data, '--root', root, '--contact', 'me@example.org', '--capacity', '10MB'],
    ...['--origin', 'http://127.0.0.1:9/', '--listen', '/ip4/127.0.0.1/tcp/0', '--bittorrent-port', '0'],
    ...['--http', '127.0.0.1:0', ...peers.flatMap((peer) => ['--peer', peer])],
  ])
  const url = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (data: Buffer) => {
      text += data
      const found = /(http:\S+)\s/.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    })
    ended.then(({ error }) => reject(new Error(error)), reject)
  })
  return { child, ended, url }
}

async function statusOf({ url }: Running): Promise<Status> {
  const answer = await fetch(new URL('api/v1/status', url), { signal: AbortSignal.timeout(5_000) })
  return (await answer.json()) as Status
}

/** All of these, and nobody else, know all of `ids`, with this one so and everybody else live. */
async function expectStandings(nodes: readonly Running[], ids: string[], one: string, standing: string) {
  for (const status of await Promise.all(nodes.map(statusOf))) {
    const seen = Object.fromEntries(status.nodes.map((known) => [known.node, known.standing]))
    expect(seen).toEqual(Object.fromEntries(ids.map((id) => [id, id === one ? standing : 'live'])))
  }
}

describe('six processes without their coordinator', () => {
  it('find each other, notice kill -9, and have the killed one back within 10 s of its restart', async () => {
    writeFileSync(at('parameters.json'), JSON.stringify(PARAMETERS))
    const init = [
      ...['--data', 'seed', '--name', 'Test', '--operator', 'library', '--parameters', 'parameters.json'],
      ...['--address', '/ip4/127.0.0.1/tcp/9', '--json'],
    ]
    const { root } = JSON.parse((await wikiseed('coordinator', 'init', ...init)).out)
    const first = await run(root, 'node-0', [])
    const { addresses } = await statusOf(first)
    const others = await Promise.all(
      Array.from({ length: NODES - 1 }, (_, i) => run(root, `node-${i + 1}`, addresses)),
    )
    const ids = (await Promise.all([first, ...others].map(statusOf))).map((status) => status.node)
    expect(new Set(ids).size).toBe(NODES)
    await vi.waitFor(() => expectStandings([first, ...others], ids, '', ''), eventually)

    // Not the one that the others were told of.
    const [lost, ...left] = others
    if (lost === undefined) throw new Error('not started')
    const { node } = await statusOf(lost)
    lost.child.kill('SIGKILL')
    await lost.ended
    const remaining = [first, ...left]
    await vi.waitFor(() => expectStandings(remaining, ids, node, 'resting'), eventually)
    for (const status of await Promise.all(remaining.map(statusOf))) expect(status.peers).toBe(NODES - 2)

    // At another port, and it is told nobody: it knows them from its disk.
    const again = await run(root, 'node-1', [])
    const startedMs = performance.now()
    const isBack = async () => {
      await expectStandings([...remaining, again], ids, '', '')
      for (const status of await Promise.all([...remaining, again].map(statusOf)))
        expect(status.peers).toBe(NODES - 1)
    }
    await vi.waitFor(isBack, eventually)
    expect(performance.now() - startedMs).toBeLessThan(RECONNECT_MS_MAX)
    for (const one of [...remaining, again]) one.child.kill('SIGTERM')
    for (const one of [...remaining, again]) expect((await one.ended).code).toBe(0)
  }, 60_000)
})
