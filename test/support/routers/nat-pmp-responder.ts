/** A small NAT-PMP router (RFC 6886) on loopback, written from the standard alone. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'

export interface NatPmpResponder {
  readonly port: number
  /** `tcp 4811` -> the internal port, or null for another machine's. */
  readonly taken: Map<string, number | null>
  /** Datagrams that came. */
  readonly asked: Buffer[]
  /** How many to leave unanswered. */
  deafTo: number
  /** Result code of each answer. */
  result: number
  /** Changes an answer before it leaves. */
  bend: (answer: Buffer) => Buffer
  lifetimeSeconds: number
  close(): Promise<void>
}

const PROTOCOLS = { 1: 'udp', 2: 'tcp' } as const

export async function natPmpResponder(externalHost: string): Promise<NatPmpResponder> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const responder: NatPmpResponder = {
    port: socket.address().port,
    taken: new Map(),
    asked: [],
    deafTo: 0,
    result: 0,
    bend: (answer) => answer,
    lifetimeSeconds: 3_600,
    close: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
  socket.on('message', (request, from) => {
    responder.asked.push(request)
    if (responder.deafTo-- > 0) return
    const answer = answerTo(request, responder, externalHost)
    if (answer !== null) socket.send(responder.bend(answer), from.port, from.address)
  })
  return responder
}

function answerTo(request: Buffer, responder: NatPmpResponder, externalHost: string): Buffer | null {
  const [version, op] = request
  if (version !== 0 || op === undefined) return null
  const answer = Buffer.alloc(op === 0 ? 12 : 16)
  answer.writeUInt8(op + 128, 1)
  answer.writeUInt16BE(responder.result, 2)
  answer.writeUInt32BE(1_000, 4)
  if (op === 0) {
    Buffer.from(externalHost.split('.').map(Number)).copy(answer, 8)
    return answer
  }
  if ((op !== 1 && op !== 2) || request.length !== 12) return null
  const protocol = PROTOCOLS[op]
  const internalPort = request.readUInt16BE(4)
  let externalPort = request.readUInt16BE(6)
  const lifetime = request.readUInt32BE(8)
  const { taken } = responder
  if (lifetime === 0) {
    for (const [key, internal] of taken)
      if (key.startsWith(protocol) && internal === internalPort) taken.delete(key)
    externalPort = 0
  } else {
    const isTaken = () => {
      const internal = taken.get(`${protocol} ${externalPort}`)
      return internal !== undefined && internal !== internalPort
    }
    while (isTaken()) externalPort++
    taken.set(`${protocol} ${externalPort}`, internalPort)
  }
  answer.writeUInt16BE(internalPort, 8)
  answer.writeUInt16BE(externalPort, 10)
  answer.writeUInt32BE(lifetime === 0 ? 0 : responder.lifetimeSeconds, 12)
  return answer
}
