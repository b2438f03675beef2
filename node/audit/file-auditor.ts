/**
 * An audit by somebody who does not hold the shard (PROTOCOL 7): a signed answer over one file that the nonce chooses, then that
 * file from the audited node alone, held against upstream's digest. The file is removed as soon as it is judged.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import {
  type FileAudit,
  type FileFinding,
  judgeFileAudit,
  planFileAudit,
} from '../../protocol/audit/file-audit.ts'
import { NONCE_BYTES } from '../../protocol/audit/messages.ts'
import type { Effect } from '../../protocol/core/effect.ts'
import type { ShardKey } from '../../protocol/ids.ts'
import type { AuditOutcome } from '../../protocol/manifest/entry.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import { infoMatchesShard } from '../../protocol/torrent/info.ts'
import { type Hasher, type Log, type TorrentEngine, TorrentError } from '../ports.ts'
import { differs, dumpPath } from '../transfer/build-shard.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'
import type { Auditor } from './auditor.ts'

type Wanted = Extract<Effect, { kind: 'audit-file' }>

/** A wrong piece may be the line's fault once. */
const TRIES = 2
/** The longest that a timer takes. */
const TIMER_MS_MAX = 2 ** 31 - 1

export interface FileAuditorParts {
  readonly auditor: Auditor
  readonly engine: TorrentEngine
  readonly hasher: Hasher
  readonly files: ShardFiles
  readonly log: Log
}

interface Work {
  readonly abort: AbortController
  readonly ended: Promise<unknown>
}

export class FileAuditor {
  readonly #parts: FileAuditorParts
  readonly #running = new Map<ShardKey, Work>()

  constructor(parts: FileAuditorParts) {
    this.#parts = parts
  }

  /** Never rejects: what goes wrong is an outcome. One audit of a shard at a time. */
  async audit(wanted: Wanted): Promise<AuditOutcome> {
    const { key } = wanted.shard
    await this.giveWay(key)
    const abort = new AbortController()
    const ended = this.#audit(wanted, abort.signal)
    const work = { abort, ended }
    this.#running.set(key, work)
    const outcome = await ended
    if (this.#running.get(key) === work) this.#running.delete(key)
    return outcome
  }

  /** Stops an audit of this shard, which is to be fetched now as a whole. */
  async giveWay(shard: ShardKey): Promise<void> {
    const work = this.#running.get(shard)
    work?.abort.abort()
    await work?.ended
  }

  async stop(): Promise<void> {
    for (const shard of [...this.#running.keys()]) await this.giveWay(shard)
  }

  async #audit(wanted: Wanted, signal: AbortSignal): Promise<AuditOutcome> {
    const { auditor, log } = this.#parts
    const { shard, node } = wanted
    const nonce = randomBytes(NONCE_BYTES)
    const plan = planFileAudit(shard, nonce)
    if (plan === null) return 'unknown'
    const answer = await auditor.ask(shard, node, nonce, plan.ranges)
    if (answer.kind !== 'answered') return answer.kind
    if (answer.hashes.length === 0) return 'unknown'
    const found = await this.#fetch(wanted, plan, nonce, signal)
    const outcome = judgeFileAudit(answer.hashes, found)
    const path = shard.files[plan.file]?.path
    log.info(
      { shard: shard.key, node, path, file: found.kind, outcome },
      'audited a replica by one whole file',
    )
    await auditor.tell(shard, node, answer.receipt, outcome)
    return outcome
  }

  async #fetch(
    wanted: Wanted,
    plan: FileAudit,
    nonce: Uint8Array,
    signal: AbortSignal,
  ): Promise<FileFinding> {
    const { files, log } = this.#parts
    const { shard, node } = wanted
    const root = files.auditing(shard)
    const timeout = AbortSignal.timeout(Math.min(wanted.timeoutMs, TIMER_MS_MAX))
    const either = AbortSignal.any([signal, timeout])
    try {
      const isWrong = await this.#download(wanted, plan.file, root, either)
      if (isWrong || (await this.#hasOtherDigest(shard, plan.file, root, either))) return { kind: 'wrong' }
      return { kind: 'whole', proofs: await this.#parts.auditor.prove(shard, root, nonce, plan.ranges) }
    } catch (error) {
      log.info({ shard: shard.key, node, error: String(error) }, 'a file did not come whole for an audit')
      return { kind: 'missing' }
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  }

  /** True when what came is not what the torrent, or the shard, says. Rejects when it did not come. */
  async #download(wanted: Wanted, file: number, root: string, signal: AbortSignal): Promise<boolean> {
    const { engine } = this.#parts
    const { shard, infohash, peers } = wanted
    for (let tries = 1; ; tries++) {
      try {
        const accept = (info: Uint8Array) => infoMatchesShard(info, shard)
        await engine.fetch(infohash, root, { peers, accept, file, signal })
        return false
      } catch (error) {
        if (!(error instanceof TorrentError)) throw error
        // Its own entry names the infohash, and the dictionary hashes to it.
        if (error.code === 'metadata-mismatch') return true
        if (error.code !== 'wrong-bytes') throw error
        if (tries === TRIES) return true
      }
    }
  }

  async #hasOtherDigest(shard: Shard, file: number, root: string, signal: AbortSignal): Promise<boolean> {
    const expected = shard.files[file]
    if (expected === undefined) throw new RangeError('no such file')
    const { files } = await this.#parts.hasher.hash([dumpPath(shard, root, expected.path)], { signal })
    return differs(expected.sizeBytes, expected.digests, files[0]) !== null
  }
}
