/**
 * One read for everything, side by side with the programs that people use: sha256sum, and bzip2 -t followed by md5sum, sha1sum
 * and sha256sum. With WIKISEED_BENCH_LARGE=1 also the memory of the whole command over a sparse file of 20 GiB, minutes long.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { WorkerHasher } from '../../node/transfer/hasher.ts'
import type { Bench, Measure } from './bench.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const DUMP = join(
  ROOT,
  'test/fixtures/dumps/fatwiki/20240920/fatwiki-20240920-pages-articles-multistream.xml.bz2',
)
const MIB = 1024 * 1024
const RANDOM_BYTES = 1024 * MIB
const LARGE_BYTES = 20 * 1024 * MIB
/** The multistream dump so often: valid streams, one after the other. */
const COPIES = 20
const RUNS = 7
const PIECE_LENGTH = MIB

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

function program(name: string, ...args: readonly string[]): number {
  const startMs = performance.now()
  execFileSync(name, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  return performance.now() - startMs
}

async function ours(hasher: WorkerHasher, path: string, structure: boolean): Promise<number> {
  const startMs = performance.now()
  await hasher.hash([path], { pieceLengthBytes: PIECE_LENGTH, structure })
  return performance.now() - startMs
}

function randomFile(path: string): void {
  const block = new Uint8Array(8 * MIB)
  const file = openSync(path, 'w')
  for (let written = 0; written < RANDOM_BYTES; written += block.length) {
    randomFillSync(block)
    writeSync(file, block)
  }
  closeSync(file)
}

function dumpFile(path: string): number {
  const dump = readFileSync(DUMP)
  const file = openSync(path, 'w')
  for (let i = 0; i < COPIES; i++) writeSync(file, dump)
  closeSync(file)
  return dump.length * COPIES
}

/** VmHWM of `wikiseed verify` on this file, as the system counts it at the end of the process. */
function peakBytes(path: string, args: readonly string[]): number {
  const ended = spawnSync(
    process.execPath,
    [
      '--import',
      join(import.meta.dirname, 'peak.js'),
      join(ROOT, 'node', 'wikiseed.js'),
      'verify',
      path,
      ...args,
    ],
    { encoding: 'utf8' },
  )
  return Number(/peak (\d+)/.exec(ended.stderr)?.[1] ?? Number.NaN)
}

async function run(): Promise<Measure[]> {
  const out: Measure[] = []
  const folder = mkdtempSync(join(tmpdir(), 'wikiseed-bench-'))
  const hasher = new WorkerHasher({ teamsMax: 1 })
  try {
    const random = join(folder, 'random')
    randomFile(random)
    await ours(hasher, random, false)
    const sha256: number[] = []
    const digests: number[] = []
    for (let i = 0; i < RUNS; i++) {
      sha256.push(program('sha256sum', random))
      digests.push(await ours(hasher, random, false))
    }
    const rate = (ms: number, bytes: number) => bytes / MIB / (ms / 1_000)
    out.push(
      { what: 'sha256sum, 1 GiB of random bytes', value: rate(median(sha256), RANDOM_BYTES), unit: 'MiB/s' },
      {
        what: 'md5, sha1, sha256 and pieces in one read',
        value: rate(median(digests), RANDOM_BYTES),
        unit: 'MiB/s',
      },
      { what: 'times as fast as sha256sum alone', value: median(sha256) / median(digests), unit: 'x' },
      {
        what: 'the same, median of the ratios of each pair',
        value: median(sha256.map((ms, i) => ms / (digests[i] ?? Number.NaN))),
        unit: 'x',
      },
    )

    const dump = join(folder, 'dump.xml.bz2')
    const dumpBytes = dumpFile(dump)
    await ours(hasher, dump, true)
    const programs: number[] = []
    const all: number[] = []
    for (let i = 0; i < RUNS; i++) {
      let ms = program('bzip2', '-t', dump)
      for (const sum of ['md5sum', 'sha1sum', 'sha256sum']) ms += program(sum, dump)
      programs.push(ms)
      all.push(await ours(hasher, dump, true))
    }
    out.push(
      {
        what: 'bzip2 -t, md5sum, sha1sum, sha256sum one after the other, of a .bz2',
        value: rate(median(programs), dumpBytes),
        unit: 'MiB/s',
      },
      {
        what: 'all digests, pieces and structure in one read',
        value: rate(median(all), dumpBytes),
        unit: 'MiB/s',
      },
      { what: 'times as fast as those programs', value: median(programs) / median(all), unit: 'x' },
      {
        what: 'the same, median of the ratios of each pair',
        value: median(programs.map((ms, i) => ms / (all[i] ?? Number.NaN))),
        unit: 'x',
      },
      { what: 'peak memory of `wikiseed verify`, that .bz2', value: peakBytes(dump, []) / MIB, unit: 'MiB' },
    )
    if (process.env.WIKISEED_BENCH_LARGE === '1') {
      const large = join(folder, 'large.xml')
      const file = openSync(large, 'w')
      ftruncateSync(file, LARGE_BYTES)
      closeSync(file)
      const value = peakBytes(large, []) / MIB
      out.push({ what: 'peak memory of `wikiseed verify`, 20 GiB', value, unit: 'MiB' })
    }
  } finally {
    await hasher.close()
    rmSync(folder, { recursive: true })
  }
  return out
}

export const bench: Bench = { group: 'verify', run }
