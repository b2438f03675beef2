/** The thread of bzip2-thread.ts: a batch of blocks a message. */
import { parentPort, workerData } from 'node:worker_threads'
import { LEVEL_BYTES } from './bzip2-block.ts'
import { roomOf, tell, type WalkerMemory, type WalkerRequest } from './bzip2-thread.ts'
import { finishBlocks, PIECE_BYTES, TOGETHER, type Walked } from './bzip2-walker.ts'
import { Windows } from './windows.ts'

const LEVEL_MAX = 9
const memory = workerData as WalkerMemory
const words = new Int32Array(memory.words)
const windows = new Windows(true, memory.windows)
const piece = new Uint8Array(PIECE_BYTES)
const bytes = Array.from({ length: TOGETHER }, () => new Uint8Array(LEVEL_MAX * LEVEL_BYTES))
const rooms = [0, 1].map((set) => bytes.map((room, index) => roomOf(memory, set, index, room)))

parentPort?.on('message', ({ set, blocks }: WalkerRequest) => {
  const batch = blocks.flatMap((block, index) => {
    const room = rooms[set]?.[index]
    return room === undefined ? [] : [{ room, block }]
  })
  let walked: Walked[] | null = null
  try {
    walked = finishBlocks(batch, piece, (out) => windows.add(out))
  } finally {
    // Whatever happens, somebody waits.
    tell(words, walked)
  }
})
