/**
 * Gathers what is written to a socket in one turn of the event loop into one system call. A wire writes each request (17 bytes),
 * and a block's header apart from the block: sent one by one, they cost a third of a transfer's processor time.
 */
import type { Socket } from 'node:net'
import type { Wire } from './wire.ts'

/** Longer than any message without a block or a bitfield. */
const SMALL_BYTES_MAX = 32

/** Makes one buffer of the small messages that a wire sends in one turn: each would pass four streams on its own. */
export function gatherMessages(wire: Wire): void {
  const push = wire._push.bind(wire)
  let waiting: Uint8Array[] = []
  const flush = () => {
    if (waiting.length === 0) return
    const messages = waiting
    waiting = []
    push(Buffer.concat(messages))
  }
  wire._push = (message) => {
    if (message.length > SMALL_BYTES_MAX) {
      flush()
      push(message)
      return
    }
    if (waiting.length === 0) queueMicrotask(flush)
    waiting.push(message)
  }
}

/** `onSent` gets each buffer once the system has taken it. */
export function gatherWrites(socket: Socket, onSent: (bytes: Uint8Array) => void): void {
  const write: (bytes: Uint8Array, done: (error?: Error | null) => void) => boolean = socket.write
  let gathers = false
  const flush = () => {
    if (!gathers) return
    gathers = false
    socket.uncork()
  }
  socket.write = function (this: Socket, bytes: Uint8Array) {
    if (!gathers) {
      gathers = true
      socket.cork()
      setImmediate(flush)
    }
    const hasRoom = write.call(this, bytes, (error) => {
      if (error === undefined || error === null) onSent(bytes)
    })
    // The wire waits until the socket is empty: not for the end of the turn too.
    if (!hasRoom) flush()
    return hasRoom
  } as Socket['write']
}
