/**
 * A walker in a thread of its own: while it undoes the transform of some blocks, the codes of the next are read here. Both
 * halves take about as long. For worker threads only: `finished` blocks.
 */
import { Worker } from 'node:worker_threads'
import { type Block, BlockRoom, LEVEL_BYTES } from './bzip2-block.ts'
import { TOGETHER, type Walk, type Walked, type Walker } from './bzip2-walker.ts'
import { Windows, type WindowsMemory } from './windows.ts'

const LEVEL_MAX = 9
/** One is walked, one is gathered. */
const SETS = 2
/** Words of shared memory: how often a batch was finished; then whether each of its blocks is whole, and its CRC. */
const DONE = 0
const RESULTS = 1
const FAILED = -1

export interface WalkerMemory {
  /** SETS times TOGETHER places for a block. */
  readonly walks: SharedArrayBuffer
  readonly words: SharedArrayBuffer
  readonly windows: WindowsMemory
}

export interface WalkerRequest {
  readonly set: number
  readonly blocks: readonly Block[]
}

const WORDS_PER_ROOM = LEVEL_MAX * LEVEL_BYTES

/** Where block `index` of a set lies. */
export function roomOf(memory: WalkerMemory, set: number, index: number, bytes: Uint8Array): BlockRoom {
  const at = (set * TOGETHER + index) * WORDS_PER_ROOM * Int32Array.BYTES_PER_ELEMENT
  return new BlockRoom(new Int32Array(memory.walks, at, WORDS_PER_ROOM), bytes)
}

/** The other thread says what it found; null: it failed. */
export function tell(words: Int32Array, walked: readonly Walked[] | null): void {
  words[RESULTS] = FAILED
  for (const [i, { isWhole, crc }] of (walked ?? []).entries()) {
    words[RESULTS + 2 * i] = isWhole ? 1 : 0
    words[RESULTS + 2 * i + 1] = crc | 0
  }
  Atomics.add(words, DONE, 1)
  Atomics.notify(words, DONE)
}

export class ThreadWalker implements Walker {
  /** How the file that is walked begins and ends. */
  readonly windows: Windows
  readonly #worker: Worker
  readonly #words: Int32Array<SharedArrayBuffer>
  readonly #rooms: BlockRoom[][]
  #set = 0
  #started = 0
  #blocks = 0

  constructor() {
    const { BYTES_PER_ELEMENT } = Int32Array
    const memory: WalkerMemory = {
      walks: new SharedArrayBuffer(SETS * TOGETHER * WORDS_PER_ROOM * BYTES_PER_ELEMENT),
      words: new SharedArrayBuffer((RESULTS + 2 * TOGETHER) * BYTES_PER_ELEMENT),
      windows: Windows.memory(),
    }
    this.windows = new Windows(true, memory.windows)
    this.#words = new Int32Array(memory.words)
    this.#rooms = Array.from({ length: SETS }, (_, set) =>
      Array.from({ length: TOGETHER }, (_, index) => roomOf(memory, set, index, new Uint8Array())),
    )
    this.#worker = new Worker(new URL('./bzip2-worker.ts', import.meta.url), {
      workerData: memory,
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    })
    this.#worker.unref()
  }

  /** For another file. What the one before left unfinished is waited for. */
  begin(): void {
    this.finished()
    this.windows.reset()
  }

  room(index: number, level: number): BlockRoom {
    const room = this.#rooms[this.#set]?.[index]
    if (room === undefined) throw new RangeError('more blocks than are walked together')
    room.begin(level)
    return room
  }

  start(batch: readonly Walk[]): void {
    const request: WalkerRequest = { set: this.#set, blocks: batch.map(({ block }) => block) }
    this.#blocks = batch.length
    this.#started++
    this.#set = 1 - this.#set
    this.#worker.postMessage(request)
  }

  finished(): readonly Walked[] {
    for (
      let done = Atomics.load(this.#words, DONE);
      done < this.#started;
      done = Atomics.load(this.#words, DONE)
    ) {
      Atomics.wait(this.#words, DONE, done)
    }
    if (this.#words[RESULTS] === FAILED && this.#blocks > 0)
      throw new Error('the thread that unpacks bzip2 failed')
    return Array.from({ length: this.#blocks }, (_, i) => ({
      isWhole: this.#words[RESULTS + 2 * i] === 1,
      crc: (this.#words[RESULTS + 2 * i + 1] ?? 0) >>> 0,
    }))
  }
}
