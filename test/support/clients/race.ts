/** One transfer from one program to others on loopback, measured from outside. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BigTorrent } from '../big-torrents.ts'
import type { ClientDriver } from './client.ts'
import { cpuSeconds, watchMemory } from './usage.ts'

export interface RaceResult {
  readonly seconds: number
  /** Of all leechers together. */
  readonly mibPerSecond: number
  readonly seederCpuSecondsPerGib: number
  readonly leecherCpuSecondsPerGib: number
  readonly seederPrivateBytes: number
  /** The most of one leecher. */
  readonly leecherPrivateBytes: number
}

export interface Race {
  readonly seeder: ClientDriver
  readonly leecher: ClientDriver
  /** @default 1 */
  readonly leechers?: number
  readonly torrents: readonly BigTorrent[]
  /** Served to the same leechers before anything is measured: no program is new to its work then. @default none */
  readonly before?: readonly BigTorrent[]
  /** Holds the torrents' files. */
  readonly root: string
}

const GIB = 1024 ** 3

/** Every leecher, each in a folder and on an address of its own, takes all torrents at once. Nothing of it stays. */
export async function race({
  seeder,
  leecher,
  leechers = 1,
  torrents,
  before = [],
  root,
}: Race): Promise<RaceResult> {
  const from = await seeder.start()
  const to = await Promise.all(
    Array.from({ length: leechers }, (_, i) => leecher.start({ host: `127.0.0.${i + 2}` })),
  )
  const folders = to.map((_, i) => join(root, `leech-${i}`))
  const all = [from, ...to]
  const memory: ReturnType<typeof watchMemory>[] = []
  try {
    for (const { torrent } of [...before, ...torrents]) await from.seed(torrent, root)
    const take = (some: readonly BigTorrent[]) =>
      Promise.all(
        to.flatMap((client, i) =>
          some.map(({ torrent }) => client.leech(torrent, folders[i] ?? '', [from.peer])),
        ),
      )
    await take(before)
    const cpuBefore = all.map(({ pid }) => cpuSeconds(pid))
    memory.push(...all.map(({ pid }) => watchMemory(pid)))
    const startMs = performance.now()
    await take(torrents)
    const seconds = (performance.now() - startMs) / 1_000
    const cpu = all.map(({ pid }, i) => cpuSeconds(pid) - (cpuBefore[i] ?? 0))
    const [seederPrivateBytes = 0, ...others] = memory.map((watch) => watch.stop())
    const bytes = leechers * torrents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const [seederCpu = 0, ...leecherCpu] = cpu
    return {
      seconds,
      mibPerSecond: bytes / 1024 ** 2 / seconds,
      seederCpuSecondsPerGib: (seederCpu * GIB) / bytes,
      leecherCpuSecondsPerGib: (leecherCpu.reduce((sum, one) => sum + one, 0) * GIB) / bytes,
      seederPrivateBytes,
      leecherPrivateBytes: Math.max(...others),
    }
  } finally {
    for (const watch of memory) watch.stop()
    await Promise.all(all.map((client) => client.stop()))
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })))
  }
}
