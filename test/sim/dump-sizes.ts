/** How big dump runs are, and what they are made of: the real distribution (`test/fixtures/world/dump-sizes.json`, SOURCES.md). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DumpJob,
  type DumpStatus,
  type DumpStatusFile,
  readDumpStatus,
} from '../../protocol/dump/dump-status.ts'
import { hash3, hashText, type Prng } from './prng.ts'

interface HistorySizes {
  readonly files: number
  readonly bytes: number
  readonly bytesByRank: readonly number[]
}

interface DumpSizes {
  readonly wikis: readonly string[]
  readonly multistreamBytesByRank: readonly number[]
  readonly largestMultistreamBytes: readonly number[]
  readonly jobBytes: Readonly<Record<string, number>>
  readonly enwikiHistory: Readonly<Record<string, HistorySizes>>
}

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')

const read = (path: string): unknown => JSON.parse(readFileSync(join(FIXTURES, path), 'utf8'))
/** Our own file, made by a script beside it. */
export const DUMP_SIZES = read('world/dump-sizes.json') as DumpSizes

/** A whole run is 98 (enwiki) and 91 (enwikivoyage) times its multistream file; see SOURCES.md. */
const WHOLE_PER_MULTISTREAM = 95
/** Upstream cuts histories about here: enwiki's have 1.9 GB on average. */
const HISTORY_FILE_BYTES = 2_000_000_000

/** A wiki's size class: `rank` of `count` wikis, 0 = smallest, mapped onto the real ranks. */
export function wholeRunBytes(rank: number, count: number): number {
  const { multistreamBytesByRank: quantiles, largestMultistreamBytes: largest } = DUMP_SIZES
  const inAll = 1020
  const place = Math.floor((rank * (inAll - 1)) / Math.max(1, count - 1))
  const multistream =
    place >= inAll - largest.length
      ? largest[place - (inAll - largest.length)]
      : quantiles[Math.floor((place * (quantiles.length - 1)) / (inAll - 1))]
  return (multistream ?? 0) * WHOLE_PER_MULTISTREAM
}

/** What upstream would say of a run of about so many bytes: the jobs of a middle-sized wiki, in their real proportions. */
export function statusOf(wiki: string, date: string, wholeBytes: number): DumpStatus {
  const jobs = new Map<string, DumpJob>()
  const jobBytes = Object.entries(DUMP_SIZES.jobBytes)
  const sum = jobBytes.reduce((total, [, bytes]) => total + bytes, 0)
  for (const [name, bytes] of jobBytes) {
    const share = Math.max(1, Math.floor((bytes / sum) * wholeBytes))
    const parts = Math.max(1, Math.ceil(share / HISTORY_FILE_BYTES))
    const files = new Map<string, DumpStatusFile>()
    for (let part = 0; part < parts; part++) {
      const size = Math.floor(share / parts) + (part === 0 ? share % parts : 0)
      addFile(files, `${wiki}-${date}-${fileRest(name, part, parts)}`, size)
    }
    jobs.set(name, { state: 'done', updatedMs: null, files })
  }
  return { jobs }
}

/**
 * enwiki: the real list of 20230301 (436 files with their real sizes), and the two history jobs that were not done yet with
 * sizes spread like those of 20240801.
 */
export function enwikiStatus(date: string, rng: Prng): DumpStatus {
  const real = readDumpStatus(read('dumpstatus/enwiki-20230301-in-progress.json'), 'enwiki')
  const jobs = new Map<string, DumpJob>()
  for (const [name, job] of real.jobs) {
    const files = new Map<string, DumpStatusFile>()
    const sizes = DUMP_SIZES.enwikiHistory[name]
    if (sizes === undefined) {
      for (const [file, { sizeBytes }] of job.files)
        addFile(files, file.replace('20230301', date), sizeBytes ?? 0)
    } else {
      for (let part = 0; part < sizes.files; part++) {
        addFile(
          files,
          `enwiki-${date}-${fileRest(name, part, sizes.files)}`,
          drawSize(sizes.bytesByRank, rng),
        )
      }
    }
    jobs.set(name, { state: 'done', updatedMs: null, files })
  }
  return { jobs }
}

function drawSize(bytesByRank: readonly number[], rng: Prng): number {
  // The last two quantiles hold single giants; a draw between the others keeps the sum near the real one.
  const low = rng.below(bytesByRank.length - 2)
  const from = bytesByRank[low] ?? 0
  const to = bytesByRank[low + 1] ?? from
  return from + Math.floor(((to - from) * rng.below(1024)) / 1024)
}

function fileRest(job: string, part: number, parts: number): string {
  const pages = parts === 1 ? '' : `${part + 1}`
  if (job === 'metahistorybz2dump') return `pages-meta-history${pages}.xml.bz2`
  if (job === 'metahistory7zdump') return `pages-meta-history${pages}.xml.7z`
  if (job.endsWith('table')) return `${job.slice(0, -'table'.length)}${pages}.sql.gz`
  return `${job}${pages}.xml.bz2`
}

function addFile(files: Map<string, DumpStatusFile>, name: string, sizeBytes: number): void {
  files.set(name, { sizeBytes, digests: { sha1: madeUpDigest(name, sizeBytes) } })
}

/** 40 hex digits that follow from name and size: nobody hashes bytes here, but every file has a digest of its own. */
function madeUpDigest(name: string, sizeBytes: number): string {
  const seed = hashText(sizeBytes >>> 0, name)
  let hex = ''
  for (let word = 0; word < 5; word++)
    hex += hash3(seed, word, sizeBytes % 0xffff_ffff)
      .toString(16)
      .padStart(8, '0')
  return hex
}
