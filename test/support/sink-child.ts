/** A process that takes connections, reads a first packet of each and hangs up: what an attack costs the attacker's machine, without a victim. */
import { type AddressInfo, createServer } from 'node:net'

const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit(0))
