/**
 * What the form of the dump files said that this process read itself, since it started. Only told: a shard that upstream
 * itself broke is held, audited and counted like any other (PROTOCOL 6).
 */
import type { ShardKey } from '../../protocol/ids.ts'
import type { Shard } from '../../protocol/shard/shard.ts'
import type { Log } from '../ports.ts'
import type { Finding } from '../structure/finding.ts'

export interface ShardStructure {
  /** Files that were looked at and could be judged. */
  readonly judged: number
  readonly broken: readonly BrokenFile[]
}

export interface BrokenFile {
  readonly path: string
  readonly offsetBytes: number
  readonly detail: string
}

/** Told of one shard. */
const BROKEN_MAX = 32

export class Findings {
  readonly #log: Log
  readonly #shards = new Map<ShardKey, ShardStructure>()

  constructor(log: Log) {
    this.#log = log
  }

  /** By path of the dump file. */
  note(shard: Shard, findings: ReadonlyMap<string, Finding>): void {
    const broken: BrokenFile[] = []
    let judged = 0
    for (const [path, finding] of findings) {
      if (finding.state !== 'unknown') judged++
      if (finding.state !== 'bad') continue
      const { offsetBytes, detail } = finding
      broken.push({ path, offsetBytes, detail })
    }
    this.#shards.set(shard.key, { judged, broken: broken.slice(0, BROKEN_MAX) })
    const { id: name } = shard
    if (broken.length === 0) this.#log.info({ shard: name, judged }, 'the dump files are whole in form')
    else this.#log.warn({ shard: name, judged, broken }, 'dump files are broken as upstream published them')
  }

  /** null: this process did not look. */
  of(shard: ShardKey): ShardStructure | null {
    return this.#shards.get(shard) ?? null
  }
}
