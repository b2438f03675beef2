/**
 * A folder that holds one run's dump files -> its shards. What the run's jobs are comes from dumpstatus.json; without it from
 * the metadata files of a held copy; without those from the names of the files, with digests computed here.
 */
import { lstat, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ShapeError } from '../../protocol/codec/shape.ts'
import type { DumpStatus, DumpStatusFile } from '../../protocol/dump/dump-status.ts'
import { parseDumpFileName } from '../../protocol/dump/file-name.ts'
import { makeRun } from '../../protocol/dump/run.ts'
import { cutRun } from '../../protocol/shard/cut.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { UserError } from '../commands/user-error.ts'
import type { Hasher } from '../ports.ts'
import { METADATA_FOLDER, readBundles } from './bundle.ts'
import { jobsByName } from './job-names.ts'
import { isUpstreamList, readFolderLists, readFolderStatus } from './upstream-lists.ts'

export interface RunFolder {
  readonly folder: string
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly shards: readonly Shard[]
  /** What told the jobs. */
  readonly source: 'dumpstatus.json' | 'STATUS.json' | 'file names'
  /** Files in the folder that are no part of the run. */
  readonly ignored: readonly string[]
}

const FILES_MAX = 10_000

/** Rejects with UserError when the folder does not hold one run, or the hasher's error when a file cannot be read. */
export async function readRunFolder(path: string, hasher: Hasher): Promise<RunFolder> {
  const folder = resolve(path)
  const { wiki, date, rests, ignored } = await listFolder(folder)
  const found = { folder, wiki, date }
  try {
    const status = await readFolderStatus(folder)
    if (status !== null) {
      const shards = cutStatus(found, status, await readFolderLists(folder))
      const held = new Set(
        shards.flatMap((shard) => shard.files.map((file) => file.path.slice(date.length + 1))),
      )
      const others = [...rests.keys()].filter((name) => !held.has(name))
      return { ...found, shards, source: 'dumpstatus.json', ignored: [...ignored, ...others].sort() }
    }
    const { bundles } = await readBundles(folder)
    const shards = bundles.map((bundle) => bundle.shard).filter((shard) => shard !== null)
    if (shards.length > 0) return { ...found, shards, source: 'STATUS.json', ignored }
  } catch (error) {
    if (error instanceof ShapeError || error instanceof SyntaxError) {
      throw new UserError(`${folder}: upstream's lists are not readable: ${error.message}`, { cause: error })
    }
    throw error
  }
  return { ...found, ...(await cutNames(found, rests, hasher)), source: 'file names', ignored }
}

async function listFolder(folder: string): Promise<{
  wiki: string
  date: string
  rests: Map<string, string>
  ignored: string[]
}> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new UserError(`the folder ${folder} cannot be read`, { cause: error })
  })
  if (names.length > FILES_MAX) throw new UserError(`${folder} holds more than ${FILES_MAX} files`)
  const rests = new Map<string, string>()
  const ignored: string[] = []
  const runs = new Set<string>()
  for (const name of names.sort()) {
    if (METADATA_FOLDER.test(name) || isUpstreamList(name)) continue
    const parsed = parseDumpFileName(name)
    // A link to elsewhere is no dump file: its bytes may change behind the name.
    if (parsed === null || !(await lstat(join(folder, name))).isFile()) ignored.push(name)
    else {
      rests.set(name, parsed.rest)
      runs.add(`${parsed.wiki} ${parsed.date}`)
    }
  }
  const [run, second] = runs
  if (run === undefined)
    throw new UserError(`${folder} holds no dump files such as tenwiki-20260101-pages-articles.xml.bz2`)
  if (second !== undefined)
    throw new UserError(`${folder} holds files of more than one run: ${[...runs].slice(0, 3).join(', ')}`)
  const [wiki = '', date = ''] = run.split(' ')
  return { wiki, date, rests, ignored }
}

function cutStatus(
  { folder, wiki, date }: { folder: string; wiki: string; date: string },
  status: DumpStatus,
  lists: Awaited<ReturnType<typeof readFolderLists>>,
): Shard[] {
  const run = makeRun({ wiki, date }, status, lists)
  if (run.state === 'in-progress')
    throw new UserError(`${folder}: dumpstatus.json says that the run is not finished`)
  const unhashed = run.files.find((file) => Object.keys(file.digests).length === 0)
  if (unhashed !== undefined) throw new UserError(`${folder}: upstream gives no digest of ${unhashed.path}`)
  if (run.files.length === 0) throw new UserError(`${folder}: dumpstatus.json names no finished file`)
  return cutRun(run)
}

async function cutNames(
  { folder, wiki, date }: { folder: string; wiki: string; date: string },
  rests: ReadonlyMap<string, string>,
  hasher: Hasher,
): Promise<{ shards: Shard[] }> {
  const names = [...rests.keys()]
  const facts = await hasher.hash(names.map((name) => join(folder, name)))
  const files = new Map<string, DumpStatusFile>()
  names.forEach((name, index) => {
    const fact = facts.files[index]
    // md5 and sha1 are what upstream publishes, so the shard is the one that its status would give.
    if (fact !== undefined) {
      files.set(name, {
        sizeBytes: fact.sizeBytes,
        digests: { md5: fact.digests.md5, sha1: fact.digests.sha1 },
      })
    }
  })
  const jobs = [...jobsByName(rests)].map(([job, of]) => {
    const own = of.flatMap((name): [string, DumpStatusFile][] => {
      const file = files.get(name)
      return file === undefined ? [] : [[name, file]]
    })
    return [job, { state: 'done', updatedMs: null, files: new Map(own) }] as const
  })
  const left = names.find((name) => !jobs.some(([, job]) => job.files.has(name)))
  if (left !== undefined) {
    throw new UserError(
      `${folder}: it is not known which job makes ${left}; put the run's dumpstatus.json beside it`,
    )
  }
  return { shards: cutRun(makeRun({ wiki, date }, { jobs: new Map(jobs) })) }
}
