/** How `get` and `restore` ask for files: flags, sources in their order, progress, and what became of each. */
import { matchesGlob } from 'node:path'
import type { Infohash } from '../../protocol/ids.ts'
import type { MergedManifestShard } from '../../protocol/manifest/merged-manifest.ts'
import { fileNameOf } from '../../protocol/shard/paths.ts'
import { decodeInfo, type Info, infohashOf } from '../../protocol/torrent/info.ts'
import type { FileSource } from '../getting/file-source.ts'
import { type GetProgress, type GotFile, getFiles, type WantedFile } from '../getting/get-files.ts'
import { swarmSource } from '../getting/swarm-file.ts'
import { isMetadata } from '../publication/paths.ts'
import type { PublishedRun } from '../publication/runs.ts'
import { systemClock } from '../runtime/clock.ts'
import { list, orNull, type Settings, text, type Values, webAddress } from '../settings.ts'
import { WorkerHasher } from '../transfer/hasher.ts'
import { VERSION } from '../version.ts'
import type { Terminal } from './command.ts'
import { openFinding } from './finding.ts'
import { type Opened, PUBLICATION_SETTINGS, startFetcher, swarmShard } from './from-publication.ts'
import { Progress } from './progress.ts'
import { UserError } from './user-error.ts'
import { bytesText } from './words.ts'

export const GET_SETTINGS = {
  ...PUBLICATION_SETTINGS,
  mirror: {
    value: '<url>',
    help: 'a mirror laid out like dumps.wikimedia.org, asked when swarm and archive do not have a file',
    kind: list(webAddress),
    default: [],
    repeat: true,
  },
  contact: {
    value: '<text>',
    help: 'your mail or web address, for those who run archive and mirrors; needed to ask them',
    kind: orNull(text()),
    default: null,
  },
  archiveSite: {
    value: '<url>',
    help: 'where items of the Internet Archive are downloaded',
    kind: webAddress,
    default: 'https://archive.org/',
  },
} satisfies Settings

export type GetValues = Values<typeof GET_SETTINGS>

/** Files whose names match one of the patterns (`*.sql.gz`); all, with the metadata files, when there is none. */
export function wantedFiles(run: PublishedRun, globs: readonly string[]): WantedFile[] {
  return run.shards.flatMap((shard) =>
    shard.files
      .filter((file) => {
        if (globs.length === 0) return true
        return !isMetadata(file) && globs.some((glob) => matchesGlob(fileNameOf(file.path), glob))
      })
      .map((file) => ({ shard, file })),
  )
}

/** Rejects with UserError when there is nobody to ask at all. */
export async function getWanted(
  publication: Opened,
  wanted: readonly WantedFile[],
  to: string,
  values: GetValues,
): Promise<GotFile[]> {
  const closing: (() => Promise<void>)[] = []
  const progress = new Progress()
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  try {
    const engine = await startFetcher()
    closing.push(() => engine.stop())
    const finding = openFinding(values, publication.manifest, (line) => progress.say(line))
    closing.push(async () => finding?.close())
    const hasher = new WorkerHasher()
    closing.push(() => hasher.close())
    const sources: FileSource[] = [
      swarmSource({
        engine,
        shard: (shard) => swarmShard(publication, shard),
        patienceMs: values.patience,
        findPeers: finding?.find,
      }),
      ...(await httpSources(publication, values, wanted)),
    ]
    for (const source of sources) closing.push(() => source.close())
    return await getFiles(wanted, {
      to,
      sources,
      hasher,
      onProgress: (now) => progress.show(stepOf(now)),
      signal: stop.signal,
    })
  } catch (error) {
    if (!stop.signal.aborted) throw error
    throw new UserError('stopped; the same command goes on from here', { cause: error })
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    progress.end()
    for (const close of closing.reverse()) await close()
  }
}

async function httpSources(
  publication: Opened,
  values: GetValues,
  wanted: readonly WantedFile[],
): Promise<FileSource[]> {
  const hasItem = wanted.some(({ shard }) => shard.archive !== null)
  const { contact, mirror, archiveSite } = values
  if (contact === null) {
    if (mirror.length > 0)
      throw new UserError(
        '--contact <text> is needed with --mirror: its operators want to know whom to write to',
      )
    return []
  }
  const { archiveSource, mirrorSource } = await import('../getting/http-source.ts')
  const infos = new Map<Infohash, Promise<Info | null>>()
  const info = (shard: MergedManifestShard): Promise<Info | null> => {
    const known = infos.get(shard.infohash) ?? infoOf(publication, shard)
    infos.set(shard.infohash, known)
    return known
  }
  const options = { contact, version: VERSION, nodeId: 'get', clock: systemClock, random: Math.random, info }
  try {
    return [
      ...(hasItem ? [archiveSource(archiveSite, options)] : []),
      ...mirror.map((base) => mirrorSource(base, options)),
    ]
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UserError(`--contact: ${error.message}`, { cause: error })
  }
}

/** Of the published torrent; null when there is none, or it is another one than the manifest says. */
async function infoOf(publication: Opened, shard: MergedManifestShard): Promise<Info | null> {
  const raw = await swarmShard(publication, shard).info()
  return raw === null || infohashOf(raw) !== shard.infohash ? null : decodeInfo(raw)
}

function stepOf(now: GetProgress) {
  const from = now.doing === 'fetching' && now.source !== null ? ` from ${now.source}` : ''
  return {
    what: `${now.doing} ${fileNameOf(now.path)}${from}`,
    doneBytes: now.allDoneBytes,
    allBytes: now.allBytes,
  }
}

/** Files that are not there and matter: our own three are told of in the manifest too. */
export function missingOf(got: readonly GotFile[]): Extract<GotFile, { state: 'missing' }>[] {
  return got.filter((one) => one.state === 'missing').filter((one) => !isMetadata(one))
}

export function tellGot(got: readonly GotFile[], values: GetValues, terminal: Terminal): void {
  const missing = got.filter((one) => one.state === 'missing')
  for (const { path, reasons } of missing) terminal.note(`missing  ${path}  (${reasons.join('; ')})`)
  const fetched = got.filter((one) => one.state === 'fetched')
  const here = got.filter((one) => one.state === 'here').length
  const bytes = fetched.reduce((sum, one) => sum + one.sizeBytes, 0)
  const kinds = (['swarm', 'archive', 'mirror'] as const).flatMap((kind) => {
    const count = fetched.filter((one) => one.from === kind).length
    return count === 0 ? [] : [`${count} from the ${kind}`]
  })
  const parts = [
    `${fetched.length} files fetched${kinds.length === 0 ? '' : ` (${kinds.join(', ')})`}, ${bytesText(bytes)}`,
    ...(here === 0 ? [] : [`${here} were whole already`]),
    ...(missing.length === 0 ? [] : [`${missing.length} could not be had`]),
  ]
  terminal.out(`${parts.join('; ')}.`)
  if (missing.length > 0 && values.contact === null)
    terminal.note('With --contact the Internet Archive is asked too, and with --mirror a mirror.')
}
