/**
 * Making a torrent of 1 GiB: our hasher and info dictionary beside mktorrent with two threads, in turn, on the same files in the
 * page cache. mktorrent takes piece hashes only; ours takes md5, sha1 and sha256 of every file in the same read.
 * WIKISEED_BENCH_RUNS sets how often (5); TMPDIR where the files lie.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import {
  decodeInfo,
  encodeInfo,
  type Info,
  infohashOf,
  PIECE_HASH_BYTES,
} from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { bigTorrent } from '../support/big-torrents.ts'
import { missing } from '../support/clients/program.ts'
import type { PieceTask } from '../support/piece-worker.ts'
import type { Bench } from './bench.ts'

const RUNS = Number(process.env.WIKISEED_BENCH_RUNS ?? 5)
const MIB = 1024 ** 2

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function seconds(work: () => unknown): Promise<number> {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1_000
}

export const bench: Bench = {
  group: 'create',
  async run() {
    const lacking = missing('mktorrent')
    if (lacking !== null) throw new Error(`${lacking} is not installed`)
    const root = await mkdtemp(join(tmpdir(), 'wikiseed-bench-'))
    const hasher = new WorkerHasher()
    try {
      const { name, torrent, sizeBytes } = await bigTorrent(
        root,
        'onewiki',
        [700 * MIB, 300 * MIB, 24 * MIB],
        hasher,
      )
      const metainfo = decodeMetainfo(torrent)
      const info = metainfo === null ? null : decodeInfo(metainfo.info)
      if (metainfo === null || info === null) throw new Error('no torrent')
      const times: Record<'ours' | 'theirs' | 'whole' | 'pieces', number[]> = {
        ours: [],
        theirs: [],
        whole: [],
        pieces: [],
      }
      const pieces = pieceThreads(root, info)
      for (let run = 0; run < RUNS; run++) {
        times.theirs.push(
          await seconds(() => mktorrent(root, name, info.pieceLengthBytes, metainfo.infohash)),
        )
        times.ours.push(await seconds(() => ours(hasher, root, info, metainfo.infohash)))
        times.pieces.push(await seconds(() => pieces.run(metainfo.infohash)))
        // As `torrent create` has it: threads started for this one.
        times.whole.push(
          await seconds(async () => {
            const own = new WorkerHasher()
            await ours(own, root, info, metainfo.infohash)
            await own.close()
          }),
        )
      }
      await pieces.close()
      const [a, b, c] = [median(times.ours), median(times.theirs), median(times.whole)]
      const d = median(times.pieces)
      const speed = (value: number) => Math.round(sizeBytes / MIB / value)
      return [
        {
          what: `hash and info dictionary of 1 GiB, all digests too (${speed(a)} and ${speed(b)} MiB/s)`,
          value: b / a,
          unit: 'x mktorrent -t2',
          goal: '>= 0.9',
        },
        { what: '... with the start of its threads', value: b / c, unit: 'x mktorrent -t2' },
        {
          what: `piece hashes alone by two plain threads, which HASH.json does not allow (${speed(d)} MiB/s)`,
          value: b / d,
          unit: 'x mktorrent -t2',
        },
      ]
    } finally {
      await hasher.close()
      await rm(root, { recursive: true, force: true })
    }
  },
}

/** Two threads that take piece hashes and nothing else, started before they are measured. */
function pieceThreads(root: string, info: Info) {
  const files = info.files.map((file) => ({ ...file, path: join(root, info.name, file.path) }))
  const threads = [0, 1].map((first) => {
    const workerData: PieceTask = { files, pieceLengthBytes: info.pieceLengthBytes, first }
    return new Worker(new URL('../support/piece-worker.ts', import.meta.url), { workerData })
  })
  return {
    async run(infohash: string): Promise<void> {
      const halves = await Promise.all(
        threads.map((thread) => {
          const answer = once(thread, 'message')
          thread.postMessage('go')
          return answer.then(([hashes]) => hashes as Uint8Array)
        }),
      )
      const pieces = new Uint8Array(info.pieces.length)
      for (const [first, half] of halves.entries())
        for (let at = 0; at < half.length; at += PIECE_HASH_BYTES)
          pieces.set(half.subarray(at, at + PIECE_HASH_BYTES), 2 * at + first * PIECE_HASH_BYTES)
      if (infohashOf(encodeInfo({ ...info, pieces })) !== infohash) throw new Error('another infohash')
    },
    close: () => Promise.all(threads.map((thread) => thread.terminate())),
  }
}

async function ours(hasher: WorkerHasher, root: string, info: Info, infohash: string): Promise<void> {
  const paths = info.files.map(({ path }) => join(root, info.name, path))
  const { pieces } = await hasher.hash(paths, { pieceLengthBytes: info.pieceLengthBytes })
  const made = infohashOf(encodeInfo({ ...info, pieces: pieces ?? new Uint8Array() }))
  if (made !== infohash) throw new Error('another infohash')
}

async function mktorrent(root: string, name: string, pieceLength: number, infohash: string): Promise<void> {
  const out = join(root, 'theirs.torrent')
  await rm(out, { force: true })
  const args = ['-t', '2', '-d', '-l', String(Math.log2(pieceLength)), '-o', out, join(root, name)]
  const { status, stderr } = spawnSync('mktorrent', args)
  if (status !== 0) throw new Error(`mktorrent: ${stderr}`)
  if (decodeMetainfo(await readFile(out))?.infohash !== infohash) throw new Error('another infohash')
}
