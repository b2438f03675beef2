/**
 * What really lies on a node's disk, whatever the node says. Bytes have no content here, only extents: how many of a shard
 * are there, and which of them are not what they should be.
 */
import type { AuditRange } from '../../protocol/audit/messages.ts'
import { utf8ToBytes } from '../../protocol/codec/bytes.ts'
import type { SimShard } from './upstream.ts'

export interface Extent {
  readonly from: number
  readonly to: number
}

export interface Copy {
  readonly shard: SimShard
  /** Bytes of the dump files that are there, from the first on. */
  doneBytes: number
  /** Verified and moved to its place: a replica. */
  whole: boolean
  /** The end of a partial file was being written when the power went. */
  torn: boolean
  /** Bytes that changed, or were never there. */
  readonly damaged: Extent[]
}

export class Disk {
  readonly copies = new Map<number, Copy>()
  /** Names this disk in made-up content: two disks rot differently. */
  readonly #label: string
  /** Bytes that fit, which may be fewer than the node's owner declared. */
  limitBytes: number
  usedBytes = 0

  constructor(label: string, limitBytes: number) {
    this.#label = label
    this.limitBytes = limitBytes
  }

  get freeBytes(): number {
    return this.limitBytes - this.usedBytes
  }

  /** The copy, begun when there is none. */
  open(shard: SimShard): Copy {
    let copy = this.copies.get(shard.index)
    if (copy === undefined) {
      copy = { shard, doneBytes: 0, whole: false, torn: false, damaged: [] }
      this.copies.set(shard.index, copy)
    }
    return copy
  }

  /** Writes on; fewer bytes than asked for when the disk is full. */
  grow(copy: Copy, bytes: number): number {
    const left = copy.shard.shard.sizeBytes - copy.doneBytes
    const written = Math.max(0, Math.min(bytes, left, this.freeBytes))
    copy.doneBytes += written
    this.usedBytes += written
    return written
  }

  remove(shard: SimShard): void {
    const copy = this.copies.get(shard.index)
    if (copy === undefined) return
    this.usedBytes -= copy.doneBytes
    this.copies.delete(shard.index)
  }

  /** Does this disk hold every byte of the shard, as upstream made it? */
  holds(shard: SimShard): boolean {
    const copy = this.copies.get(shard.index)
    return copy?.whole === true && copy.damaged.length === 0
  }

  /** Does it hold every byte of one file? */
  hasFile(shard: SimShard, file: number): boolean {
    const copy = this.copies.get(shard.index)
    const from = fileStart(shard, file)
    const to = from + (shard.shard.files[file]?.sizeBytes ?? 0)
    if (copy === undefined || copy.doneBytes < to) return false
    return !copy.damaged.some((extent) => extent.from < to && from < extent.to)
  }

  damage(copy: Copy, extent: Extent): void {
    copy.damaged.push(extent)
  }

  /** Bytes that others can get from here: a damaged piece fails its hash at the receiver. */
  usableBytes(shard: SimShard): number {
    const copy = this.copies.get(shard.index)
    if (copy === undefined) return 0
    return copy.damaged.reduce((left, { from, to }) => left - (to - from), copy.doneBytes)
  }

  /**
   * Stands for the bytes of a range: equal on two disks exactly when the bytes are. Null when the file is not there to its
   * end.
   */
  readRange(shard: SimShard, range: AuditRange): Uint8Array | null {
    const copy = this.copies.get(shard.index)
    const from = fileStart(shard, range.file) + range.offsetBytes
    const to = from + range.lengthBytes
    if (copy === undefined || copy.doneBytes < to) return null
    let content = `${shard.shard.digest} ${from} ${to}`
    for (const extent of copy.damaged) {
      if (extent.from < to && from < extent.to) content += ` ${this.#label} ${extent.from} ${extent.to}`
    }
    return utf8ToBytes(content)
  }

  /** Paths of the files that damage lies in, as a check of the copy would name them. */
  damagedFiles(shard: SimShard): string[] {
    const copy = this.copies.get(shard.index)
    if (copy === undefined) return shard.shard.files.map((file) => file.path)
    let start = 0
    return shard.shard.files
      .filter((file) => {
        const from = start
        start += file.sizeBytes
        return (
          start > copy.doneBytes || copy.damaged.some((extent) => extent.from < start && from < extent.to)
        )
      })
      .map((file) => file.path)
  }

  /** One of its files has not the digest that upstream lists: it goes, the others stay. `pick` says which. */
  loseFile(shard: SimShard, pick: number): void {
    const copy = this.copies.get(shard.index)
    if (copy === undefined) return
    const file = pick % shard.shard.files.length
    const from = fileStart(shard, file)
    copy.damaged.push({ from, to: from + (shard.shard.files[file]?.sizeBytes ?? 0) })
    this.keepGood(shard)
  }

  /** After the copy was found damaged: its bad bytes go, the good ones stay to build on. */
  keepGood(shard: SimShard): void {
    const copy = this.copies.get(shard.index)
    if (copy === undefined) return
    const good = Math.max(0, this.usableBytes(shard))
    this.usedBytes -= copy.doneBytes - good
    copy.doneBytes = good
    copy.whole = false
    copy.torn = false
    copy.damaged.length = 0
  }
}

const starts = new WeakMap<SimShard, Float64Array>()

/** Offset of a file's first byte among all dump files of the shard. */
function fileStart(shard: SimShard, file: number): number {
  let known = starts.get(shard)
  if (known === undefined) {
    known = new Float64Array(shard.shard.files.length)
    let at = 0
    shard.shard.files.forEach((one, index) => {
      if (known !== undefined) known[index] = at
      at += one.sizeBytes
    })
    starts.set(shard, known)
  }
  return known[file] ?? 0
}
