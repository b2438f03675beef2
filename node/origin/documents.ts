/** Small documents of the origin, turned into values inside the retry: one that is half-written is read again. */
import { ShapeError } from '../../protocol/codec/shape.ts'
import { CHECKSUM_LIST_LENGTH_MAX } from '../../protocol/dump/checksums.ts'
import { LISTING_LENGTH_MAX, type ListingEntry, readListing } from '../../protocol/dump/listing.ts'
import { OriginError } from '../ports.ts'
import { contentLength, describeBody, expectStatus, lastModifiedMs, readBounded } from './answer.ts'
import type { HttpClient } from './http-client.ts'
import { type RetryPolicy, retry } from './retry.ts'

export interface Documents {
  /** Rejects with OriginError; `not-json` names what came instead of `expected`. */
  read<T>(
    url: URL,
    options: {
      bytesMax: number
      parse: (text: string) => T
      expected: string
      signal?: AbortSignal | undefined
    },
  ): Promise<{ readonly value: T; readonly changedMs: number | null }>
  /** The same, null when upstream has none. */
  list(folder: URL, signal?: AbortSignal): Promise<readonly ListingEntry[] | null>
  text(
    url: URL,
    signal?: AbortSignal,
  ): Promise<{ readonly text: string; readonly changedMs: number | null } | null>
  facts(
    url: URL,
    signal?: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly changedMs: number | null } | null>
}

/** `pauseMaxMs`: see HttpRequest. */
export function createDocuments(client: HttpClient, policy: RetryPolicy, pauseMaxMs?: number): Documents {
  const read: Documents['read'] = (url, { bytesMax, parse, expected, signal }) =>
    retry(
      policy,
      () =>
        client.get(url, { signal, pauseMaxMs }, async (response) => {
          expectStatus(response, url, [200])
          const body = await readBounded(response, url, bytesMax)
          try {
            const value = parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
            return { value, changedMs: lastModifiedMs(response) }
          } catch (error) {
            const reason = error instanceof ShapeError ? ` (${error.message})` : ''
            const came = describeBody(response, body)
            throw new OriginError('not-json', `${url}: expected ${expected}, got ${came}${reason}`, {
              cause: error,
            })
          }
        }),
      signal,
    )
  return {
    read,
    async list(folder, signal) {
      const parse = (text: string) => readListing(text, folder.pathname)
      const options = { bytesMax: LISTING_LENGTH_MAX, parse, expected: 'the listing of a folder', signal }
      // Some mirrors list no folders and say 403, or show a page of their own there.
      const found = await orNull(read(folder, options), ['not-found', 'refused', 'not-json'])
      return found?.value ?? null
    },
    async text(url, signal) {
      const options = { bytesMax: CHECKSUM_LIST_LENGTH_MAX, parse: refuseHtml, expected: 'a text', signal }
      const found = await orNull(read(url, options), ['not-found'])
      return found === null ? null : { text: found.value, changedMs: found.changedMs }
    },
    facts: (url, signal) =>
      orNull(
        retry(
          policy,
          () =>
            client.get(url, { method: 'HEAD', signal, pauseMaxMs }, async (response) => {
              expectStatus(response, url, [200])
              const sizeBytes = contentLength(response)
              return sizeBytes === null ? null : { sizeBytes, changedMs: lastModifiedMs(response) }
            }),
          signal,
        ),
        ['not-found'],
      ),
  }
}

export function refuseHtml(text: string): string {
  if (/^\s*</.test(text)) throw new SyntaxError('a web page')
  return text
}

async function orNull<T>(reading: Promise<T>, codes: readonly OriginError['code'][]): Promise<T | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof OriginError && codes.includes(error.code)) return null
    throw error
  }
}
