/** How a shard is named and described as an Internet Archive item. Pure. */
import { type Infohash, parseShardId, type ShardDigest, type ShardId } from '../../protocol/ids.ts'
import { itemNames } from '../../protocol/shard/archive-item.ts'
import { magnetLink } from '../../protocol/torrent/magnet.ts'
import { ArchiveError } from './archive-error.ts'

export interface ItemSubject {
  readonly id: ShardId
  readonly digest: ShardDigest
  readonly infohash: Infohash
  /** Name of the torrent. */
  readonly name: string
}

/** Identifier: 3 to 100 of these, the first a letter or digit (internetarchive utils.py). Never reusable. */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._-]{2,99}$/

/** PROTOCOL 9; throws ArchiveError when one of them cannot name an item. */
export function itemIdentifiers(subject: Pick<ItemSubject, 'id' | 'digest'>): [string, string] {
  const names = itemNames(subject)
  for (const name of names) {
    if (!IDENTIFIER.test(name)) throw new ArchiveError('bad-identifier', `${name} cannot name an item`)
  }
  return names
}

/** The value of `wikiseed-shard` in an item's metadata: says whose item it is. */
export function shardField(subject: Pick<ItemSubject, 'id' | 'digest'>): string {
  return `${subject.id}@${subject.digest}`
}

/** Headers that give a new item its metadata; they count only on the PUT that creates it (IAS3 headers.md). */
export function itemHeaders(subject: ItemSubject, collection: string): Record<string, string> {
  const { dataset, wiki, date, part } = parseShardId(subject.id)
  const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`
  const what = `Wikimedia database dump of ${wiki} on ${date}${part > 0 ? `, part ${part}` : ''}`
  const fields: Readonly<Record<string, string | readonly string[]>> = {
    mediatype: 'data',
    collection,
    title: dataset === 'dumps' ? what : `${what} (${dataset})`,
    creator: 'Wikimedia projects editors',
    contributor: 'Wikimedia Foundation',
    date: day,
    licenseurl: 'https://creativecommons.org/licenses/by-sa/4.0/',
    subject: ['wiki', 'dumps', 'data dumps', wiki, 'wikiseed'],
    description:
      `Unmodified files of the dump of ${wiki} that Wikimedia published on ${day}, ` +
      `with HASH.json (md5, sha1 and sha256 of each file) and the state of the run, archived by WikiSeed. ` +
      magnetLink({ infohash: subject.infohash, name: subject.name }),
    'wikiseed-infohash': subject.infohash,
    'wikiseed-shard': shardField(subject),
  }
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(fields)) {
    const values = typeof value === 'string' ? [value] : value
    // Multi-valued fields are numbered from 00, as `internetarchive` always does; an underscore is written `--`.
    values.forEach((text, index) => {
      headers[`x-archive-meta${String(index).padStart(2, '0')}-${name.replaceAll('_', '--')}`] =
        headerValue(text)
    })
  }
  return headers
}

/** Anything but visible ASCII travels percent-encoded (internetarchive iarequest.py). */
function headerValue(text: string): string {
  return /^[\x21-\x7e]+$/.test(text) ? text : `uri(${encodeURIComponent(text)})`
}
