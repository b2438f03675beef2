/**
 * Missing pieces of a torrent over HTTP: ranges of its files from the places that have them, each piece held to its SHA-1 before it
 * counts. One place after the other for each file: who lacks the file, gives no ranges or gave a wrong piece of it is left for it, and
 * the next goes on where it stopped.
 */
import { bytesToHex } from '../../protocol/codec/bytes.ts'
import { type ByteRange, spansOf } from '../../protocol/torrent/spans.ts'
import { OriginError, type OriginErrorCode } from '../ports.ts'
import type { PieceFiles } from '../transfer/piece-files.ts'
import type { Place } from './places.ts'

export interface WebPiecesParts {
  readonly files: PieceFiles
  /** Where a file may be had, in the order of asking; called once for each file. */
  readonly placesOf: (file: number) => readonly Place[]
  /** A range of a file, as `Origin.range` gives it. */
  readonly range: (
    place: Place,
    file: number,
    range: ByteRange,
    use: (chunk: Uint8Array) => Promise<void>,
  ) => Promise<void>
  /** A place did not give what it was asked for. */
  readonly onRefused: (place: Place, file: number, code: OriginErrorCode) => void
  /** A place gave a wrong piece, as was seen when another gave the right one. */
  readonly onWrong: (label: string, file: number) => void
}

export interface WebPiecesResult {
  /** Files of which some bytes are still missing, each with what its places said: the origin's word counts most. */
  readonly lacking: ReadonlyMap<number, OriginError>
  /** Those of them that somebody has whole, but gives no ranges of. */
  readonly wholeOnly: ReadonlySet<number>
  /** Who gave bytes of a file that no piece proves: the rest of the piece lies in files that are not here. */
  readonly unproven: ReadonlyMap<number, ReadonlySet<string>>
  /** Every place that gave a piece disagrees with its hash, or two give the same other bytes: the info dictionary may be a lie. */
  readonly isDoubtful: boolean
}

interface Giver {
  readonly file: number
  readonly place: Place
}

/** Ranges under way at once; the host limiter bounds the process as a whole. */
const RANGES_AT_ONCE = 2
/** The place has trouble as a whole. That it lacks a file, or has another one, says nothing of its other files. */
export const TROUBLE: readonly OriginErrorCode[] = ['busy', 'network', 'refused']

class WrongPiece extends Error {}

/**
 * Brings what is missing as `ranges` say it, each cut at pieces. Rejects with OriginError when every place of a file is in trouble, or
 * with the file system's error; what came stays.
 */
export function fetchPieces(ranges: readonly ByteRange[], parts: WebPiecesParts): Promise<WebPiecesResult> {
  return new WebPieces(parts).fetch(ranges)
}

class WebPieces {
  readonly #parts: WebPiecesParts
  readonly #pieceBytes: number
  /** Who is left to ask for a file. */
  readonly #places = new Map<number, Place[]>()
  readonly #noRanges = new Set<string>()
  readonly #refusals = new Map<number, OriginError>()
  /** Who alone gave a wrong piece, as long as nobody gave the right one, and the SHA-1 of all that was given. */
  readonly #suspects = new Map<number, { readonly liars: Giver[]; readonly hashes: Set<string> }>()
  readonly #contradicted = new Set<number>()
  readonly #lacking = new Map<number, OriginError>()
  readonly #wholeOnly = new Set<number>()
  readonly #unproven = new Map<number, Set<string>>()
  #isDoubtful = false
  #hasFailed = false

  constructor(parts: WebPiecesParts) {
    this.#parts = parts
    this.#pieceBytes = parts.files.info.pieceLengthBytes
  }

  async fetch(ranges: readonly ByteRange[]): Promise<WebPiecesResult> {
    const waiting = [...ranges]
    const work = async () => {
      for (let range = waiting.shift(); range !== undefined; range = waiting.shift()) {
        await this.#bring(range)
        if (this.#isDoubtful || this.#hasFailed) return
      }
    }
    const works = Array.from({ length: RANGES_AT_ONCE }, () =>
      work().catch((error: unknown) => {
        this.#hasFailed = true
        throw error
      }),
    )
    const failed = (await Promise.allSettled(works)).find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return {
      lacking: this.#lacking,
      wholeOnly: this.#wholeOnly,
      unproven: this.#unproven,
      isDoubtful: this.#isDoubtful,
    }
  }

  /** One range in order, each file of it from the first place that is left. */
  async #bring(range: ByteRange): Promise<void> {
    const { files } = this.#parts
    let at = range.start
    /** Of the piece under way: who gave of it, and whether all of it came. */
    let givers: Giver[] = []
    let isWhole = true
    const pieceEnd = () => Math.min(this.#startOf(at) + this.#pieceBytes, range.end)
    const take = async (bytes: Uint8Array, giver: Giver) => {
      await files.write(at, bytes)
      if (givers.at(-1) !== giver) givers.push(giver)
      const end = pieceEnd()
      at += bytes.length
      if (at < end) return
      const [came, all] = [givers, isWhole]
      givers = []
      isWhole = true
      await this.#judge(range, end, came, all)
    }
    while (at < range.end && !this.#isDoubtful) {
      const [span] = spansOf(files.layout, at, range.end)
      if (span === undefined) return
      const { file, offset, length } = span
      const place = this.#next(file)
      if (place === null) {
        // The other files of its pieces get their bytes all the same: their digests judge these.
        if (at + length >= pieceEnd()) {
          this.#note(givers)
          givers = []
        }
        at += length
        isWhole = at === this.#startOf(at)
        continue
      }
      const giver = { file, place }
      try {
        await this.#parts.range(place, file, { start: offset, end: offset + length }, async (chunk) => {
          for (let done = 0; done < chunk.length; ) {
            const part = chunk.subarray(done, done + pieceEnd() - at)
            await take(part, giver)
            done += part.length
          }
        })
      } catch (error) {
        if (error instanceof WrongPiece) at = Math.max(this.#startOf(at - 1), range.start)
        else if (error instanceof OriginError && error.code !== 'aborted') this.#refuse(giver, error)
        else throw error
      }
    }
  }

  /** Bytes up to `end` came. Rejects with WrongPiece when they are not what the hash says; then they are asked for elsewhere. */
  async #judge(range: ByteRange, end: number, givers: readonly Giver[], isWhole: boolean): Promise<void> {
    const { files, onWrong } = this.#parts
    const start = this.#startOf(end - 1)
    const isCut = start < range.start || end < Math.min(start + this.#pieceBytes, files.layout.totalBytes)
    if (!isWhole || isCut) return this.#note(givers)
    const piece = start / this.#pieceBytes
    const sha1 = await files.sha1(piece)
    const suspects = this.#suspects.get(piece) ?? { liars: [], hashes: new Set() }
    if (files.isHash(piece, sha1)) {
      for (const { file, place } of suspects.liars) onWrong(place.label, file)
      this.#suspects.delete(piece)
      return
    }
    const hex = bytesToHex(sha1 ?? new Uint8Array())
    this.#isDoubtful ||= suspects.hashes.has(hex)
    suspects.hashes.add(hex)
    this.#suspects.set(piece, suspects)
    // Of several nobody can tell who it was: none is named, and the origin is asked again.
    const isAlone = givers.every(({ place }) => place.label === givers[0]?.place.label)
    if (isAlone) suspects.liars.push(...givers)
    const strangers = givers.filter(({ place }) => place.from !== null)
    for (const giver of strangers.length > 0 ? strangers : givers) {
      this.#contradicted.add(giver.file)
      this.#refuse(
        giver,
        new OriginError('wrong-piece', `${giver.place.label}: wrong bytes in piece ${piece}`),
      )
    }
    throw new WrongPiece()
  }

  /** What these gave only the digests of their files can judge. */
  #note(givers: readonly Giver[]): void {
    for (const { file, place } of givers) {
      const labels = this.#unproven.get(file) ?? new Set()
      this.#unproven.set(file, labels.add(place.label))
    }
  }

  /** Null: nobody is left. Throws the file's OriginError when that may pass, and need not be so for other files. */
  #next(file: number): Place | null {
    const known = this.#places.get(file)
    const left = known ?? [...this.#parts.placesOf(file)]
    if (known === undefined) this.#places.set(file, left)
    const place = left.find(({ label }) => !this.#noRanges.has(label))
    if (place !== undefined) return place
    const refusal =
      this.#refusals.get(file) ?? new OriginError('no-ranges', 'nobody gives ranges of this file')
    this.#lacking.set(file, refusal)
    if (left.length > 0) this.#wholeOnly.add(file)
    // Upstream's digest judges these bytes, when whole files are fetched.
    else if (this.#contradicted.has(file)) this.#isDoubtful = true
    else if (TROUBLE.includes(refusal.code)) throw refusal
    return null
  }

  /** This place is not asked for this file any more; one that gives no ranges stays for the whole of it. */
  #refuse({ file, place }: Giver, error: OriginError): void {
    const left = this.#places.get(file) ?? []
    if (error.code === 'no-ranges') this.#noRanges.add(place.label)
    else if (left.includes(place)) left.splice(left.indexOf(place), 1)
    // The origin's word is the one that counts, wherever it stands in the order.
    if (place.from === null || !this.#refusals.has(file)) this.#refusals.set(file, error)
    this.#parts.onRefused(place, file, error.code)
  }

  #startOf(position: number): number {
    return position - (position % this.#pieceBytes)
  }
}
