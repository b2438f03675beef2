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

export function gatherWrites(socket: Socket): void {
  const write = socket.write
  let gathers = false
  const flush = () => {
    if (!gathers) return
    gathers = false
    socket.uncork()
  }
  socket.write = function (this: Socket, ...args: Parameters<Socket['write']>) {
    if (!gathers) {
      gathers = true
      socket.cork()
      setImmediate(flush)
    }
    const hasRoom = write.apply(this, args)
    // The wire waits until the socket is empty: not for the end of the turn too.
    if (!hasRoom) flush()
    return hasRoom
  } as Socket['write']
}
