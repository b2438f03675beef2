/**
 * Branded names of things (PROTOCOL 0), and the one door by which a plain string becomes one.
 * A brand says "this string has the right form"; it says nothing about trust.
 */

declare const brand: unique symbol
type Brand<Name extends string> = string & { readonly [brand]: Name }

/** A node's libp2p peer id in base58btc: `12D3Koo...` (Ed25519, identity multihash). */
export type NodeId = Brand<'NodeId'>
/** `dumps/tenwiki/20260101`, parts `dumps/enwiki/20260101~2`. */
export type ShardId = Brand<'ShardId'>
/** `dumps/tenwiki/20260101`: what upstream made of one dataset of one wiki on one date. */
export type RunId = Brand<'RunId'>
/** `dumps/tenwiki`: all runs of one dataset of one wiki. */
export type Series = Brand<'Series'>
/** sha256 of the shard's definition (PROTOCOL 1), 64 lower-case hex digits. */
export type ShardDigest = Brand<'ShardDigest'>
/** `id@digest`: names one revision of one shard for ever. */
export type ShardKey = Brand<'ShardKey'>
/** SHA-1 of the v1 info dictionary, 40 lower-case hex digits (BEP 3). */
export type Infohash = Brand<'Infohash'>
/** sha256 of `1.root.json`, 64 lower-case hex digits. */
export type FederationId = Brand<'FederationId'>
/** `YYYY-MM`: the month of a run's date. */
export type Cycle = Brand<'Cycle'>

/** Where upstream publishes (PROTOCOL 0). */
export type Dataset = 'dumps' | 'content_current' | 'content_history'
export const DATASETS: readonly Dataset[] = ['dumps', 'content_current', 'content_history']

const HEX40 = /^[0-9a-f]{40}$/
const HEX64 = /^[0-9a-f]{64}$/
const NODE_ID = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/
const SHARD_ID =
  /^(dumps|content_current|content_history)\/([a-z][a-z0-9_]{1,63})\/([0-9]{8})(?:~([1-9][0-9]{0,4}))?$/
const CYCLE = /^[0-9]{4}-(0[1-9]|1[0-2])$/
const WIKI = /^[a-z][a-z0-9_]{1,63}$/

export const isNodeId = (value: string): value is NodeId => NODE_ID.test(value)
export const isShardId = (value: string): value is ShardId => SHARD_ID.test(value)
export const isRunId = (value: string): value is RunId => SHARD_ID.test(value) && !value.includes('~')
export const isShardDigest = (value: string): value is ShardDigest => HEX64.test(value)
export const isInfohash = (value: string): value is Infohash => HEX40.test(value)
export const isFederationId = (value: string): value is FederationId => HEX64.test(value)
export const isCycle = (value: string): value is Cycle => CYCLE.test(value)
/** A dbname as Wikimedia forms them: `tenwiki`, `zh_min_nanwiki`. */
export const isWiki = (value: string): boolean => WIKI.test(value)

export function isShardKey(value: string): value is ShardKey {
  const at = value.indexOf('@')
  return at > 0 && SHARD_ID.test(value.slice(0, at)) && HEX64.test(value.slice(at + 1))
}

/** The parts that a shard id is made of. `part` is 0 for a small run, else 1 and up. */
export interface ShardName {
  readonly dataset: Dataset
  readonly wiki: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly part: number
}

export function shardId(name: ShardName): ShardId {
  const id = `${name.dataset}/${name.wiki}/${name.date}${name.part > 0 ? `~${name.part}` : ''}`
  if (!isShardId(id)) throw new TypeError(`not a shard id: ${JSON.stringify(id)}`)
  return id
}

export function parseShardId(id: ShardId): ShardName {
  const match = SHARD_ID.exec(id)
  if (match === null) throw new TypeError(`not a shard id: ${JSON.stringify(id)}`)
  return {
    dataset: match[1] as Dataset,
    wiki: match[2] as string,
    date: match[3] as string,
    part: match[4] === undefined ? 0 : Number(match[4]),
  }
}

/** The run that a shard is of, or a part of. */
export function runIdOf({ dataset, wiki, date }: Omit<ShardName, 'part'>): RunId {
  return `${dataset}/${wiki}/${date}` as RunId
}

export function seriesOf({ dataset, wiki }: Pick<ShardName, 'dataset' | 'wiki'>): Series {
  return `${dataset}/${wiki}` as Series
}

export function parseRunId(run: RunId): Omit<ShardName, 'part'> {
  const { dataset, wiki, date } = parseShardId(run as string as ShardId)
  return { dataset, wiki, date }
}

export function shardKey(id: ShardId, digest: ShardDigest): ShardKey {
  return `${id}@${digest}` as ShardKey
}

/** The id and digest of a key. */
export function parseShardKey(key: ShardKey): { id: ShardId; digest: ShardDigest } {
  const at = key.indexOf('@')
  return { id: key.slice(0, at) as ShardId, digest: key.slice(at + 1) as ShardDigest }
}

/** The cycle that a run of this date belongs to: cycle = `YYYY-MM` of the run date (PROTOCOL 1). */
export function cycleOf(date: string): Cycle {
  const cycle = `${date.slice(0, 4)}-${date.slice(4, 6)}`
  if (!isCycle(cycle)) throw new TypeError(`not a run date: ${JSON.stringify(date)}`)
  return cycle
}
