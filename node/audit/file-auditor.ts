/**
 * An audit by somebody who does not hold the shard (PROTOCOL 7): a signed answer over one file that the nonce chooses, then that
 * file from where the audited node says that it serves, held against upstream's digest. It is removed as soon as it is judged.
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
import { infoMatchesShard } from '../../protocol/torrent/info.ts'
import type { Hasher, Log, TorrentEngine } from '../ports.ts'
import { differs, dumpPath } from '../transfer/build-shard.ts'
import type { ShardFiles } from '../transfer/shard-files.ts'
import type { Auditor } from './auditor.ts'

type Wanted = Extract<Effect, { kind: 'audit-file' }>

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
    const outcome = judgeFileAudit(plan, answer.hashes, found)
    const path = shard.files[plan.file]?.path
    log.info(
      { shard: shard.key, node, path, file: found.kind, outcome },
      'audited a replica by one whole file',
    )
    await auditor.tell(shard, node, answer.receipt, outcome)
    return outcome
  }

  /**
   * Whatever keeps the file from coming proves nothing, a torrent that is not the shard's neither: no answer was signed to that,
   * and fetchers refute it (PROTOCOL 6).
   */
  async #fetch(
    { shard, node, infohash, peers, timeoutMs }: Wanted,
    { file, ranges }: FileAudit,
    nonce: Uint8Array,
    stopped: AbortSignal,
  ): Promise<FileFinding> {
    const { auditor, engine, hasher, files, log } = this.#parts
    const expected = shard.files[file]
    if (expected === undefined) throw new RangeError('no such file')
    const root = files.auditing(shard)
    const path = dumpPath(shard, root, expected.path)
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(Math.min(timeoutMs, TIMER_MS_MAX))])
    try {
      const accept = (info: Uint8Array) => infoMatchesShard(info, shard)
      await engine.fetchFile(infohash, file, path, { peers, accept, signal })
      const facts = await hasher.hash([path], { signal })
      const isUpstreams = differs(expected.sizeBytes, expected.digests, facts.files[0]) === null
      const proofs = await auditor.prove(shard, root, nonce, ranges)
      return { kind: isUpstreams ? 'whole' : 'other', proofs }
    } catch (error) {
      log.info({ shard: shard.key, node, error: String(error) }, 'a file did not come whole for an audit')
      return { kind: 'missing' }
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  }
}
