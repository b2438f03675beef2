/**
 * Keeps a shard in the Internet Archive (PROTOCOL 9.3): upload every file, then read md5, sha1 and size of each back from the
 * metadata API, and only then say so. A crash at any point costs at most the file on the way: what the item already shows is
 * not sent again.
 */
import type { Clock, Log } from '../../node/ports.ts'
import type { FullDigests } from '../../protocol/shard/shard.ts'
import type { Sleep } from '../http/sleep.ts'
import { type ArchiveAccess, ArchiveApi } from './archive-api.ts'
import { ArchiveError } from './archive-error.ts'
import { type ItemSubject, itemHeaders, itemIdentifiers, shardField } from './item.ts'
import { compareFile, type ExpectedFile, type ItemState } from './item-state.ts'

export interface ArchiveFile {
  /** Key in the item: `tenwiki/20260101/tenwiki-....bz2`. */
  readonly path: string
  readonly sizeBytes: number
  readonly digests: FullDigests
  /** Where it lies on this disk. */
  readonly diskPath: string
}

export interface ArchiveUpload extends ItemSubject {
  /** Every file of the torrent, the metadata files included. */
  readonly files: readonly ArchiveFile[]
}

/** An item whose every file was seen with our md5, sha1 and size. */
export interface ArchivedItem {
  readonly item: string
  /** See ItemState. */
  readonly storage: string | null
  readonly verifiedAtMs: number
  readonly files: readonly ExpectedFile[]
}

/** How long to wait for what; defaults are the Archive's pace. */
export interface ArchiveTiming {
  /** First pause after SlowDown or a broken upload; doubles. */
  readonly slowDownMs: number
  /** Pause between looks at check_limit and the metadata; doubles up to `pollMsMax`. */
  readonly pollMs: number
  readonly pollMsMax: number
  /** All trying of one file; then ArchiveError `busy`. */
  readonly busyMsMax: number
  /** All waiting for uploads to show; then ArchiveError `not-visible`. */
  readonly visibleMsMax: number
}

export interface ArchiveOptions extends ArchiveAccess {
  readonly collection?: string
  readonly timing?: Partial<ArchiveTiming>
  readonly clock: Clock
  readonly log: Log
}

export interface InternetArchive {
  /** Uploads what is missing and verifies everything. ArchiveError. */
  preserve(
    upload: ArchiveUpload,
    options?: { signal?: AbortSignal; onBytes?: (count: number) => void },
  ): Promise<ArchivedItem>
  /** Reads the item again: every file must still be there as expected. ArchiveError `dark`, `not-found`, `mismatch`. */
  reverify(item: string, expected: readonly ExpectedFile[], signal?: AbortSignal): Promise<ArchivedItem>
}

const DEFAULT_TIMING: ArchiveTiming = {
  slowDownMs: 30_000,
  pollMs: 5_000,
  pollMsMax: 120_000,
  busyMsMax: 12 * 3_600_000,
  visibleMsMax: 24 * 3_600_000,
}
/** Hard limit of an item. */
const ITEM_BYTES_MAX = 1_099_511_627_776
const DIGEST_ATTEMPTS_MAX = 3
const UPLOAD_ATTEMPTS_MAX = 40
const LIMIT_LOOKS_MAX = 4
/** Above this it is worth waiting until the new item stands, before the bulk is sent to it. */
const WAIT_FOR_ITEM_BYTES = 256 * 1024 * 1024

export function createInternetArchive(options: ArchiveOptions): InternetArchive {
  const api = new ArchiveApi(options)
  const timing = { ...DEFAULT_TIMING, ...options.timing }
  return {
    preserve: (upload, { signal, onBytes } = {}) =>
      new Preservation(options, api, timing, upload, signal, onBytes).run(),
    async reverify(item, expected, signal) {
      const state = await api.state(item, signal)
      if (state.isDark) throw new ArchiveError('dark', `the item ${item} was withdrawn`)
      if (!state.exists) throw new ArchiveError('not-found', `there is no item ${item}`)
      for (const file of expected) {
        const verdict = compareFile(state, file)
        if (verdict === 'missing') throw new ArchiveError('not-found', `${item} has lost ${file.path}`)
        if (verdict === 'different')
          throw new ArchiveError('mismatch', `${item} holds other bytes as ${file.path}`)
      }
      return { item, storage: state.storage, verifiedAtMs: options.clock.wallMs(), files: expected }
    },
  }
}

class Preservation {
  readonly #options: ArchiveOptions
  readonly #api: ArchiveApi
  readonly #timing: ArchiveTiming
  readonly #upload: ArchiveUpload
  readonly #signal: AbortSignal | undefined
  readonly #onBytes: ((count: number) => void) | undefined
  readonly #sleep: Sleep
  constructor(
    options: ArchiveOptions,
    api: ArchiveApi,
    timing: ArchiveTiming,
    upload: ArchiveUpload,
    signal: AbortSignal | undefined,
    onBytes: ((count: number) => void) | undefined,
  ) {
    this.#options = options
    this.#api = api
    this.#timing = timing
    this.#upload = upload
    this.#signal = signal
    this.#onBytes = onBytes
    this.#sleep = options.sleep
  }

  async run(): Promise<ArchivedItem> {
    const { files } = this.#upload
    const totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    if (totalBytes > ITEM_BYTES_MAX)
      throw new ArchiveError('too-large', `${this.#upload.id} has ${totalBytes} bytes; an item holds 1 TiB`)
    const { item, state } = await this.#chooseItem()

    const missing = files.filter((file) => compareFile(state, file) !== 'same')
    // The smallest first: it creates the item.
    const [first, ...rest] = missing.toSorted((a, b) => a.sizeBytes - b.sizeBytes)
    const creating = {
      'x-archive-auto-make-bucket': '1',
      ...itemHeaders(this.#upload, this.#options.collection ?? 'opensource'),
    }
    const sizeHint = { 'x-archive-size-hint': String(totalBytes) }
    if (first !== undefined) {
      await this.#untilBelowLimit(item)
      let headers = state.exists ? sizeHint : { ...creating, ...sizeHint }
      await this.#put(item, first, headers)
      if (!state.exists && totalBytes > WAIT_FOR_ITEM_BYTES) {
        await this.#poll(item, (now) => (now.exists ? null : `the new item ${item} does not show`))
        headers = sizeHint
      }
      for (const file of rest) await this.#put(item, file, headers)
    }
    // A file that the item held with other bytes shows them until its task has run; any other difference is final.
    const replaced = new Set(missing.filter((file) => state.files.has(file.path)).map((file) => file.path))
    const { storage } = await this.#poll(item, (now) => this.#difference(item, now, replaced))
    return {
      item,
      storage,
      verifiedAtMs: this.#options.clock.wallMs(),
      files: files.map(({ path, sizeBytes, digests: { md5, sha1 } }) => ({
        path,
        sizeBytes,
        digests: { md5, sha1 },
      })),
    }
  }

  /** The item that is ours or free, with no task pending if that can be waited for. */
  async #chooseItem(): Promise<{ item: string; state: ItemState }> {
    const names = itemIdentifiers(this.#upload)
    for (const item of names) {
      const state = await this.#api.state(item, this.#signal)
      if (state.isDark) throw new ArchiveError('dark', `the item ${item} was withdrawn`)
      if (!state.exists) return { item, state }
      if (state.shard !== shardField(this.#upload)) continue
      // After a restart, uploads of the last time may still be queued: let them show before sending them again.
      return {
        item,
        state: state.isPending ? await this.#poll(item, (now) => (now.isPending ? 'pending' : null)) : state,
      }
    }
    throw new ArchiveError('identifier-taken', `${names.join(' and ')} are the items of something else`)
  }

  async #put(item: string, file: ArchiveFile, headers: Readonly<Record<string, string>>): Promise<void> {
    const until = this.#options.clock.monotonicMs() + this.#timing.busyMsMax
    let digestAttempts = 0
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#api.upload({
        item,
        key: file.path,
        path: file.diskPath,
        sizeBytes: file.sizeBytes,
        md5: file.digests.md5,
        headers,
        onBytes: this.#onBytes,
        signal: this.#signal,
      })
      if (outcome.kind === 'accepted') return
      if (outcome.kind === 'bad-digest' && ++digestAttempts >= DIGEST_ATTEMPTS_MAX) {
        throw new ArchiveError('bad-digest', `${outcome.detail}; is ${file.diskPath} damaged?`)
      }
      if (attempt >= UPLOAD_ATTEMPTS_MAX || this.#options.clock.monotonicMs() > until) {
        throw new ArchiveError(outcome.kind === 'broken' ? 'network' : 'busy', outcome.detail)
      }
      this.#options.log.warn({ item, file: file.path, attempt, reason: outcome.kind }, outcome.detail)
      await this.#pause(
        Math.min(this.#timing.slowDownMs * 2 ** Math.min(attempt - 1, 5), this.#timing.pollMsMax),
      )
      if (outcome.kind === 'slow-down') await this.#untilBelowLimit(item)
    }
  }

  /**
   * Waits while check_limit says that uploads would be refused; after a few looks a PUT has the last word, since it is refused
   * before its body is sent.
   */
  async #untilBelowLimit(item: string): Promise<void> {
    for (let look = 0; look < LIMIT_LOOKS_MAX && (await this.#api.isOverLimit(item, this.#signal)); look++) {
      await this.#pause(Math.min(this.#timing.pollMs * 2 ** look, this.#timing.pollMsMax))
    }
  }

  /** Looks at the item until `open` finds nothing more to wait for; it throws for what waiting cannot mend. */
  async #poll(item: string, open: (state: ItemState) => string | null): Promise<ItemState> {
    const until = this.#options.clock.monotonicMs() + this.#timing.visibleMsMax
    for (let waitMs = this.#timing.pollMs; ; waitMs *= 1.5) {
      const state = await this.#api.state(item, this.#signal)
      if (state.isDark) throw new ArchiveError('dark', `the item ${item} was withdrawn`)
      const waitingFor = open(state)
      if (waitingFor === null) return state
      if (this.#options.clock.monotonicMs() > until) throw new ArchiveError('not-visible', waitingFor)
      await this.#pause(Math.min(waitMs, this.#timing.pollMsMax))
    }
  }

  #difference(item: string, state: ItemState, replaced: ReadonlySet<string>): string | null {
    let waitingFor: string | null = null
    for (const file of this.#upload.files) {
      const verdict = compareFile(state, file)
      if (verdict === 'same') continue
      if (verdict === 'different' && !replaced.has(file.path))
        throw new ArchiveError('mismatch', `${item} holds other bytes as ${file.path}`)
      waitingFor ??= `${item} does not show ${file.path} as it was sent`
    }
    return waitingFor
  }

  async #pause(ms: number): Promise<void> {
    await this.#sleep(ms, this.#signal)
    if (this.#signal?.aborted === true) throw new ArchiveError('aborted', 'the upload was stopped')
  }
}
