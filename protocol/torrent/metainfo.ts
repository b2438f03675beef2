/**
 * A whole .torrent file (BEP 3, 12, 19): the info dictionary verbatim, and around it what may change freely without
 * changing the infohash: trackers, web seeds, a comment (PROTOCOL 2).
 */
import { type Bencoded, BencodeError, type BencodeLimits, bencode, bencodeFields } from '../codec/bencode.ts'
import { concatBytes, utf8FromBytes, utf8ToBytes } from '../codec/bytes.ts'
import type { Infohash } from '../ids.ts'
import { INFO_BYTES_MAX } from '../limits.ts'
import { infohashOf } from './info.ts'

export interface Metainfo {
  /** The exact bytes of the info dictionary. */
  readonly info: Uint8Array
  /** Tiers of tracker URLs (BEP 12). */
  readonly trackers: readonly (readonly string[])[]
  /** `url-list` (BEP 19). */
  readonly webSeeds: readonly string[]
  readonly comment: string | null
}

/** Room for trackers, web seeds and a comment around the info dictionary. */
export const METAINFO_BYTES_MAX = INFO_BYTES_MAX + 1024 * 1024
const LIMITS: BencodeLimits = { bytesMax: METAINFO_BYTES_MAX, itemsMax: 200_000 }
const URLS_MAX = 1_000
const URL_BYTES_MAX = 2_048
const COMMENT_BYTES_MAX = 4_096

/** The bytes of a .torrent file. No date and no tool version: same input, same bytes. */
export function encodeMetainfo(
  metainfo: Pick<Metainfo, 'info'> & Partial<Omit<Metainfo, 'info'>>,
): Uint8Array {
  const trackers = (metainfo.trackers ?? []).filter((tier) => tier.length > 0)
  const first = trackers[0]?.[0]
  const webSeeds = metainfo.webSeeds ?? []
  // Fields are written one by one, in raw-byte order of key, because the info dictionary is spliced in as it is.
  const parts: Uint8Array[] = [utf8ToBytes('d')]
  if (first !== undefined)
    parts.push(bencode('announce'), bencode(first), bencode('announce-list'), bencode(trackers))
  if (typeof metainfo.comment === 'string') parts.push(bencode('comment'), bencode(metainfo.comment))
  parts.push(bencode('info'), metainfo.info)
  if (webSeeds.length > 0) parts.push(bencode('url-list'), bencode(webSeeds))
  parts.push(utf8ToBytes('e'))
  return concatBytes(...parts)
}

/** Reads a .torrent file, or null when it is none within the bounds. Says nothing about the info dictionary's content. */
export function decodeMetainfo(bytes: Uint8Array): (Metainfo & { readonly infohash: Infohash }) | null {
  try {
    const fields = bencodeFields(bytes, LIMITS)
    const info = fields.get('info')
    if (info === undefined || !(info.value instanceof Map) || info.raw.length > INFO_BYTES_MAX) return null
    const list = fields.get('announce-list')?.value
    const single = texts(fields.get('announce')?.value)
    return {
      info: info.raw,
      infohash: infohashOf(info.raw),
      // BEP 12: `announce` is ignored when there is a list.
      trackers: isList(list)
        ? list
            .slice(0, URLS_MAX)
            .map(texts)
            .filter((tier) => tier.length > 0)
        : single.length > 0
          ? [single]
          : [],
      webSeeds: texts(fields.get('url-list')?.value),
      comment: text(fields.get('comment')?.value, COMMENT_BYTES_MAX),
    }
  } catch (error) {
    if (error instanceof BencodeError) return null
    throw error
  }
}

/** A URL or a list of them; what is no readable URL is left out. */
function texts(value: Bencoded | undefined): string[] {
  const values = isList(value) ? value.slice(0, URLS_MAX) : value === undefined ? [] : [value]
  return values.flatMap((item) => text(item, URL_BYTES_MAX) || [])
}

function text(value: Bencoded | undefined, bytesMax: number): string | null {
  return value instanceof Uint8Array && value.length <= bytesMax ? utf8FromBytes(value) : null
}

function isList(value: Bencoded | undefined): value is readonly Bencoded[] {
  return Array.isArray(value)
}
