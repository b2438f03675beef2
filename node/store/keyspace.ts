/**
 * The ledger of key prefixes. A number is given once and never again, also when its space is retired: an old data folder
 * may still hold its keys. Append new spaces at the end with the next number; `test/unit/keyspace.test.ts` guards the list.
 */
export const KEYSPACES = [
  // Node
  { number: 1, name: 'ownManifest' }, // The last sealed manifest, as published.
  { number: 2, name: 'ownEntries' }, // By shard key: what this node claims and holds.
  { number: 3, name: 'peerManifests' }, // By node id: the newest sealed manifest, as received.
  { number: 4, name: 'peerSequences' }, // By node id: highest sequence seen; kept for a year (PROTOCOL 4).
  { number: 5, name: 'catalogIndex' }, // By coordinator: its newest sealed catalog index, as received.
  { number: 6, name: 'catalogs' }, // By sha256: a catalog, a list of what is archived, or an observed run.
  { number: 7, name: 'torrents' }, // By shard key: whole .torrent files.
  { number: 8, name: 'receipts' }, // By shard key and node: the latest audit receipt.
  { number: 9, name: 'audits' }, // By shard key and node: our latest audit of each replica.
  { number: 10, name: 'peers' }, // By node id: remembered addresses.
  { number: 11, name: 'findings' }, // By shard key: what was wrong with a file, and why it is not held.
  // Coordinator
  { number: 12, name: 'runs' }, // By dataset, wiki and date: coverage, kept for ever.
  { number: 13, name: 'archived' }, // By shard key: what the Internet Archive was verified to hold.
  { number: 14, name: 'merged' }, // By shard key: accepted infohash and hashes.
  { number: 15, name: 'published' }, // By document: what was published where.
  { number: 16, name: 'own' }, // Single values of this data folder: sequence, versions of documents.
  // Node
  { number: 17, name: 'records' }, // By node id: its newest sealed update, and its head.
  { number: 18, name: 'recordBuckets' }, // By node id and bucket number: the rows of its state.
  { number: 19, name: 'failures' }, // By shard key, node and auditor: a receipt that proves that the replica failed.
  { number: 20, name: 'observations' }, // By sha256: what a node read of upstream, sealed, as received.
  { number: 21, name: 'heldFiles' }, // By infohash: when the bytes were verified, and sizes and times of the files then.
  // Coordinator
  { number: 22, name: 'mirrorProbes' }, // By shard key: what each mirror answered when it was asked for the shard's files.
  { number: 23, name: 'torrentLists' }, // By shard key: trackers and web seeds in its published .torrent, and since when.
] as const

export type Keyspace = (typeof KEYSPACES)[number]['name']

/** Printable ASCII without a space; the store takes no other keys. */
const KEY = /^[\x21-\x7e]{1,512}$/

/** `03/`: all keys of a space begin with it, and no other space's do. */
export function prefixOf(space: Keyspace): string {
  const found = KEYSPACES.find((one) => one.name === space)
  if (found === undefined) throw new TypeError(`no such key space: ${space}`)
  return `${String(found.number).padStart(2, '0')}/`
}

/** `03/12D3Koo...`; parts are joined by `|`, which no id, key or node id holds. Throws TypeError for a part that does. */
export function keyOf(space: Keyspace, ...parts: readonly string[]): string {
  const key = prefixOf(space) + parts.join('|')
  if (parts.some((part) => part === '' || part.includes('|')) || !KEY.test(key)) {
    throw new TypeError(`not a key: ${JSON.stringify(key)}`)
  }
  return key
}

/** The parts that a key of this space was made of. */
export function partsOf(space: Keyspace, key: string): string[] {
  const prefix = prefixOf(space)
  if (!key.startsWith(prefix)) throw new TypeError(`not a key of ${space}: ${JSON.stringify(key)}`)
  return key.slice(prefix.length).split('|')
}

export function isKey(key: string): boolean {
  return KEY.test(key)
}
