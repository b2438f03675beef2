/**
 * Making a torrent of 1 GiB: our hasher and info dictionary beside mktorrent with two threads, in turn, on the same files in the
 * page cache. mktorrent takes piece hashes only. So does ours when it looks again at what was verified once (check-shard.ts); to make a
 * torrent, it takes md5, sha1 and sha256 of every file in the same read, as HASH.json names them.
 * WIKISEED_BENCH_RUNS sets how often (5); TMPDIR where the files lie.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import { decodeInfo, encodeInfo, type Info, infohashOf } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { bigTorrent } from '../support/big-torrents.ts'
import { missing } from '../support/clients/program.ts'
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
      for (let run = 0; run < RUNS; run++) {
        times.theirs.push(
          await seconds(() => mktorrent(root, name, info.pieceLengthBytes, metainfo.infohash)),
        )
        times.ours.push(await seconds(() => ours(hasher, root, info, metainfo.infohash)))
        times.pieces.push(await seconds(() => pieces(hasher, root, info, metainfo.infohash)))
        // As `torrent create` has it: threads started for this one.
        times.whole.push(
          await seconds(async () => {
            const own = new WorkerHasher()
            await ours(own, root, info, metainfo.infohash)
            await own.close()
          }),
        )
      }
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
          what: `piece hashes and info dictionary, no digests, as a copy is checked again (${speed(d)} MiB/s)`,
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

const pathsOf = (root: string, info: Info) => info.files.map(({ path }) => join(root, info.name, path))

async function ours(hasher: WorkerHasher, root: string, info: Info, infohash: string): Promise<void> {
  const { pieceLengthBytes } = info
  const { pieces } = await hasher.hash(pathsOf(root, info), { pieceLengthBytes })
  finish({ ...info, pieces: pieces ?? new Uint8Array() }, infohash)
}

async function pieces(hasher: WorkerHasher, root: string, info: Info, infohash: string): Promise<void> {
  const { pieceLengthBytes } = info
  finish({ ...info, pieces: await hasher.pieces(pathsOf(root, info), { pieceLengthBytes }) }, infohash)
}

function finish(info: Info, infohash: string): void {
  if (infohashOf(encodeInfo(info)) !== infohash) throw new Error('another infohash')
}

async function mktorrent(root: string, name: string, pieceLength: number, infohash: string): Promise<void> {
  const out = join(root, 'theirs.torrent')
  await rm(out, { force: true })
  const args = ['-t', '2', '-d', '-l', String(Math.log2(pieceLength)), '-o', out, join(root, name)]
  const { status, stderr } = spawnSync('mktorrent', args)
  if (status !== 0) throw new Error(`mktorrent: ${stderr}`)
  if (decodeMetainfo(await readFile(out))?.infohash !== infohash) throw new Error('another infohash')
}
