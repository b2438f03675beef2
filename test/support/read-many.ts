/** Reads titles from a published swarm one by one, each as a new process would: with an engine of its own and nothing remembered. */

import { join } from 'node:path'
import { readArticle } from '../../node/reading/article.ts'
import { openLocalFile } from '../../node/reading/local-source.ts'
import { MultistreamIndex } from '../../node/reading/multistream.ts'
import { lastRevision } from '../../node/reading/pages.ts'
import { openSwarmRun } from '../../node/reading/swarm-run.ts'
import { WebTorrentEngine } from '../../node/transfer/torrent-engine.ts'
import { decodeInfo } from '../../protocol/torrent/info.ts'
import { decodeMetainfo } from '../../protocol/torrent/metainfo.ts'
import { layoutOf } from '../../protocol/torrent/spans.ts'
import { Prng } from '../sim/prng.ts'
import type { Published } from './published.ts'

const INDEX = 'fatwiki-20240920-pages-articles-multistream-index.txt.bz2'
const CONTENT = 'fatwiki-20240920-pages-articles-multistream.xml.bz2'

export interface ReadOne {
  readonly title: string
  readonly ms: number
  readonly found: boolean
  readonly text: string | null
  /** Everything that went over the seeds' sockets, both ways. */
  readonly wireBytes: number
  readonly payloadBytes: number
  /** Bytes of the pieces that overlap the index and the stream, plus 2 pieces, plus 10 %. */
  readonly boundBytes: number
}

export async function indexOf(
  published: Published,
): Promise<{ index: MultistreamIndex; contentBytes: number }> {
  const folder = join(published.mirror, 'fatwiki', '20240920')
  const source = await openLocalFile(join(folder, INDEX))
  const content = await openLocalFile(join(folder, CONTENT))
  const index = await MultistreamIndex.read(source, INDEX, content.sizeBytes)
  await source.close()
  await content.close()
  return { index, contentBytes: content.sizeBytes }
}

/** `count` titles of the index, drawn by a seed. */
export function randomTitles(index: MultistreamIndex, count: number, seed: number): string[] {
  const all = [...index.entries()].map((entry) => entry.title)
  const random = new Prng(seed)
  return Array.from({ length: count }, () => all[random.below(all.length)] ?? '')
}

export async function readOne(
  published: Published,
  title: string,
  of: Awaited<ReturnType<typeof indexOf>>,
): Promise<ReadOne> {
  const [first] = published.held
  if (first === undefined) throw new Error('nothing is held')
  const { merged } = first
  const before = published.wireBytes()
  const startedAtMs = performance.now()
  const engine = new WebTorrentEngine({ port: 0 })
  await engine.start()
  const peers = published.seeds.map(({ meter }) => ({ host: '127.0.0.1', port: meter.port }))
  const info = decodeMetainfo(merged.torrent)?.info ?? null
  const shards = [{ infohash: merged.infohash, files: merged.files, peers, info: async () => info }]
  const run = openSwarmRun(engine, { dataset: 'dumps', wiki: 'fatwiki', date: '20240920', shards })
  try {
    const result = await readArticle(run, title)
    const ms = performance.now() - startedAtMs
    const payloadBytes = run.downloadedBytes
    return {
      title,
      ms,
      found: result.found,
      text: result.found ? (lastRevision(result.page)?.text ?? null) : null,
      payloadBytes,
      wireBytes: published.wireBytes() - before,
      boundBytes: boundOf(merged.torrent, title, of),
    }
  } finally {
    await engine.stop()
  }
}

/** Reckoned from the torrent and the index alone. */
function boundOf(
  torrent: Uint8Array,
  title: string,
  { index, contentBytes }: Awaited<ReturnType<typeof indexOf>>,
): number {
  const info = decodeInfo(decodeMetainfo(torrent)?.info ?? new Uint8Array())
  if (info === null) throw new Error('no torrent')
  const { starts } = layoutOf(info.files)
  const pieces = new Set<number>()
  const add = (name: string, start: number, end: number) => {
    const file = starts[info.files.findIndex(({ path }) => path.endsWith(`/${name}`))] ?? Number.NaN
    const length = info.pieceLengthBytes
    for (let piece = Math.floor((file + start) / length); piece * length < file + end; piece++)
      pieces.add(piece)
  }
  const indexBytes = info.files.find(({ path }) => path.endsWith(`/${INDEX}`))?.sizeBytes ?? 0
  add(INDEX, 0, indexBytes)
  const entry = index.find([title])
  if (entry !== null) add(CONTENT, entry.offset, index.endOf(entry.offset, contentBytes))
  return (pieces.size + 2) * info.pieceLengthBytes * 1.1
}

export const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
