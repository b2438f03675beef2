import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseShardId } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { shardPieceLength } from '../../protocol/torrent/info.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { encodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { writeFileAtomic } from '../files/durable.ts'
import { safeJoin } from '../files/layout.ts'
import { type RunFolder, readRunFolder } from '../folder/run-folder.ts'
import { orNull, readSettings, text, yesNo } from '../settings.ts'
import { isMissing } from '../system-error.ts'
import { type BuiltShard, buildShard } from '../transfer/build-shard.ts'
import { WorkerHasher } from '../transfer/hasher.ts'
import type { Command } from './command.ts'
import { UserError } from './user-error.ts'

const settings = {
  out: { value: '<dir>', help: 'write WIKI-DATE.torrent there', kind: orNull(text()), default: null },
  metadata: {
    value: null,
    help: 'write HASH.json, STATUS.json and README.txt into the folder, so that any client can seed it',
    kind: yesNo,
    default: false,
  },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const torrentCreate: Command = {
  name: 'torrent create',
  summary: 'the deterministic torrent of a folder that holds one run',
  arguments: '<dir>',
  settings,
  examples: [
    'wikiseed torrent create tenwiki/20260101',
    'wikiseed torrent create tenwiki/20260101 --out . --metadata',
    'wikiseed torrent create tenwiki/20260101 --json',
  ],
  async run({ args, flags }, terminal) {
    const { out, metadata, json } = readSettings(settings, { flags, env: {}, file: null })
    const hasher = new WorkerHasher()
    try {
      const run = await readRunFolder(args[0] ?? '', hasher)
      const built = await buildAll(run, hasher)
      const rows = []
      for (const { shard, torrent } of built) {
        if (metadata) await writeMetadata(run, torrent)
        const path = out === null ? null : join(resolve(out), fileName(shard))
        if (path !== null) await writeFileAtomic(path, encodeMetainfo({ info: torrent.info }))
        rows.push(describe(shard, torrent, path))
      }
      if (json) terminal.out(JSON.stringify({ source: run.source, ignored: run.ignored, shards: rows }))
      else
        for (const row of rows)
          terminal.out(`${row.infohash}  ${row.id}${row.torrent === null ? '' : `  ${row.torrent}`}`)
      if (!json && run.source === 'file names') {
        terminal.note(
          'Without dumpstatus.json the jobs were told from the names of the files; when upstream lists others too, the federation has another infohash.',
        )
      }
      if (!json && run.ignored.length > 0)
        terminal.note(`Not part of the run: ${run.ignored.slice(0, 20).join(', ')}`)
      return 0
    } finally {
      await hasher.close()
    }
  },
}

/** The folder may have any name; the builder wants the layout of a mirror, so it sees it through a link. */
async function buildAll(
  run: RunFolder,
  hasher: WorkerHasher,
): Promise<{ shard: Shard; torrent: BuiltShard }[]> {
  const root = await mkdtemp(join(tmpdir(), 'wikiseed-torrent-'))
  try {
    await mkdir(join(root, run.wiki))
    await symlink(run.folder, join(root, run.wiki, run.date), 'junction')
    const out: { shard: Shard; torrent: BuiltShard }[] = []
    for (const shard of run.shards) {
      const result = await buildShard(shard, root, hasher).catch((error: unknown) => {
        if (!isMissing(error)) throw error
        throw new UserError(`${run.folder} lacks files of ${shard.id} that ${run.source} names`, {
          cause: error,
        })
      })
      if (!result.ok) {
        const [first] = result.wrong
        const more = result.wrong.length > 1 ? ` (and ${result.wrong.length - 1} more)` : ''
        throw new UserError(
          `${first?.path ?? shard.id} is not the file that ${run.source} names: ${first?.reason ?? ''}${more}`,
        )
      }
      out.push({ shard, torrent: result.built })
    }
    return out
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function writeMetadata(run: RunFolder, torrent: BuiltShard): Promise<void> {
  for (const { path, bytes } of torrent.metadata) {
    await writeFileAtomic(safeJoin(run.folder, path.slice(run.date.length + 1)), bytes)
  }
}

function fileName(shard: Shard): string {
  const { part } = parseShardId(shard.id)
  return `${shard.wiki}-${shard.date}${part > 0 ? `-part${part}` : ''}.torrent`
}

function describe(shard: Shard, { infohash }: BuiltShard, torrent: string | null) {
  return {
    id: shard.id,
    key: shard.key,
    infohash,
    name: shard.name,
    bytes: shard.sizeBytes,
    files: shard.files.length,
    pieceLengthBytes: shardPieceLength(shard),
    magnet: magnetLink({ infohash, name: shard.name }),
    torrent,
  }
}
