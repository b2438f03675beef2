/** One calm picture of the federation in a terminal. Pure: a picture in, lines out. */
import type { ShardStatus } from '../observe/status.ts'
import type { Picture } from './watch.ts'
import { urlOf } from './watch.ts'

export interface ViewOptions {
  readonly columns: number
  readonly rows: number
  readonly seconds: number
  readonly uniqueBytes: number
  readonly replicas: number
  /** The last things worth saying, newest last. */
  readonly news: readonly string[]
  readonly done: boolean
}

const BAR = 10

export function view(picture: Picture, options: ViewOptions): string[] {
  const { shards, origin } = picture
  const safe = shards.filter((row) => row.safe).length
  const archived = shards.filter((row) => row.archived).length
  const published = shards.filter((row) => row.published).length
  const ratio = options.uniqueBytes > 0 ? (origin.bytes / options.uniqueBytes).toFixed(2) : '-'
  const all = shards.length
  const head = [
    `WikiSeed demo: ${picture.nodes.length} volunteers, 1 coordinator, ${all} shards, ${bytes(options.uniqueBytes)}   ${clock(options.seconds)}`,
    '',
    `  safe ${bar(safe, all)} ${safe}/${all}   archived ${bar(archived, all)} ${archived}/${all}   published ${bar(published, all)} ${published}/${all}`,
    `  read from Wikimedia ${bytes(origin.bytes)} = ${ratio} x the unique bytes, in ${origin.requests} requests`,
    '',
  ]
  const tail = [
    '',
    ...nodeLines(picture),
    ...bundleLines(picture),
    '',
    ...options.news.slice(-3).map((line) => `  ${line}`),
  ]
  tail.push(options.done ? '  Everything is safe. Ctrl-C ends the demo.' : '  Ctrl-C ends the demo.')
  const room = Math.max(4, options.rows - head.length - tail.length - 2)
  return [...head, ...shardLines(shards, room, options.replicas), ...tail].map((line) =>
    line.slice(0, options.columns - 1),
  )
}

function shardLines(shards: readonly ShardStatus[], room: number, replicas: number): string[] {
  const title = `  ${'shard'.padEnd(34)} ${'size'.padStart(9)}  ${'replicas'.padEnd(9)} ${'archive'.padEnd(8)} published    ● proven  ○ held  · claimed`
  const open = shards.filter((row) => !finished(row))
  // What is under way matters more than what is done, when not all fit.
  const shown = shards.length < room ? shards : [...open, ...shards.filter(finished)].slice(0, room - 2)
  const lines = shown.map((row) => {
    const proven = '●'.repeat(Math.min(row.replicas, 9))
    const held = '○'.repeat(Math.max(0, Math.min(row.held, 9) - row.replicas))
    const claimed = '·'.repeat(Math.min(row.claimed, 9))
    const state = `${proven}${held}${claimed}`.padEnd(Math.max(9, replicas))
    return `  ${row.id.padEnd(34)} ${bytes(row.bytes).padStart(9)}  ${state} ${(row.archived ? 'yes' : '-').padEnd(8)} ${row.published ? 'yes' : '-'}`
  })
  const more = shards.length - shown.length
  return [title, ...lines, ...(more > 0 ? [`  ... and ${more} more`] : [])]
}

const finished = (row: ShardStatus): boolean => row.safe && row.archived && row.published

function nodeLines(picture: Picture): string[] {
  const lines = [`  ${'node'.padEnd(22)} held  led  from origin  from swarm  status page`]
  picture.nodes.forEach(({ node, status }, index) => {
    const share = picture.shares[index] ?? { led: 0, fromOriginBytes: 0, fromSwarmBytes: 0 }
    const name = `${node.name} (${node.operator})`.padEnd(22)
    if (status === null) {
      lines.push(`  ${name} starting`)
      return
    }
    lines.push(
      `  ${name} ${String(status.counts.held).padStart(4)} ${String(share.led).padStart(4)} ${bytes(share.fromOriginBytes).padStart(12)} ${bytes(share.fromSwarmBytes).padStart(11)}  ${urlOf(node)}/`,
    )
    for (const fetch of status.fetches.slice(0, 2)) {
      const from = fetch.from === 'origin' ? 'Wikimedia' : 'the swarm'
      lines.push(`      ${bar(fetch.doneBytes, fetch.sizeBytes)} ${fetch.shard} from ${from}`)
    }
  })
  const { node, status } = picture.coordinator
  lines.push(
    `  ${'coordinator'.padEnd(22)} ${status === null ? 'starting' : `${' '.repeat(36)}  ${urlOf(node)}/`}`,
  )
  return lines
}

/** `3 bundles wikiseed-2024-04, ...`: what is made; nothing while there is none. */
function bundleLines({ coordinator: { status } }: Picture): string[] {
  const names = status?.bundles.flatMap(({ name }) => name ?? []) ?? []
  if (names.length === 0) return []
  return [`  ${names.length} ${names.length === 1 ? 'bundle' : 'bundles'} ${names.join(', ')}`]
}

function bar(done: number, all: number): string {
  const full = all === 0 ? 0 : Math.floor((done / all) * BAR)
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}

/** 1 kB = 1,000 bytes, as download pages write it. */
export function bytes(count: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`
  }
  return `${count} B`
}
