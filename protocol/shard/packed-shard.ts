/**
 * A shard in little memory: a node knows tens of thousands, and looks into few of them at a time. What its digest is made of is kept as
 * one text, and the rows of the files are read from it when they are asked for.
 */
import type { Dataset, ShardDigest, ShardId, ShardKey } from '../ids.ts'
import { ALGORITHMS, type Algorithm, type Digests, type Shard, type ShardFile } from './shard.ts'

/** A row of each file, in the layout of make-shard.ts. */
export function rowsOf(files: readonly ShardFile[]): string[] {
  return files.map(({ path, sizeBytes, digests }) => {
    const known = ALGORITHMS.flatMap((algorithm) => {
      const hex = digests[algorithm]
      return hex === undefined ? [] : [`${algorithm}:${hex}`]
    })
    return `${path}\t${sizeBytes}\t${known.length === 0 ? 'none' : known.join(',')}\n`
  })
}

export type ShardFacts = Pick<
  Shard,
  'id' | 'dataset' | 'wiki' | 'date' | 'name' | 'bundleVersion' | 'sizeBytes'
>

export class PackedShard implements Shard {
  readonly id: ShardId
  readonly digest: ShardDigest
  readonly key: ShardKey
  readonly dataset: Dataset
  readonly wiki: string
  readonly date: string
  readonly name: string
  readonly bundleVersion: number
  readonly sizeBytes: number
  readonly fileCount: number
  /** Rows of the files, then STATUS.json. */
  readonly #text: string
  readonly #rowsLength: number
  /** Who goes through the files by number asks for them each time. */
  #files: WeakRef<readonly ShardFile[]> | null = null

  /** What is said of it was checked before. */
  constructor(facts: ShardFacts, key: ShardKey, rows: readonly string[], statusJson: string) {
    this.id = facts.id
    this.key = key
    this.digest = key.slice(facts.id.length + 1) as ShardDigest
    this.dataset = facts.dataset
    this.wiki = facts.wiki
    this.date = facts.date
    this.name = facts.name
    this.bundleVersion = facts.bundleVersion
    this.sizeBytes = facts.sizeBytes
    this.fileCount = rows.length
    this.#text = [...rows, statusJson].join('')
    this.#rowsLength = this.#text.length - statusJson.length
  }

  get files(): readonly ShardFile[] {
    const known = this.#files?.deref()
    if (known !== undefined) return known
    const files = this.#text
      .slice(0, this.#rowsLength - 1)
      .split('\n')
      .map(readRow)
    this.#files = new WeakRef(files)
    return files
  }

  get statusJson(): string {
    return this.#text.slice(this.#rowsLength)
  }
}

function readRow(row: string): ShardFile {
  const [path = '', size, known = ''] = row.split('\t')
  const digests: { [A in Algorithm]?: string } = {}
  if (known !== 'none') {
    for (const one of known.split(',')) {
      const colon = one.indexOf(':')
      digests[one.slice(0, colon) as keyof Digests] = one.slice(colon + 1)
    }
  }
  return { path, sizeBytes: Number(size), digests }
}
