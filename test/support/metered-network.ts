/** A network that notes the sizes of what it was answered and of what it published; otherwise the one that it stands before. */
import type { Network } from '../../node/ports.ts'

export interface Pull {
  readonly protocol: string
  readonly answerBytes: number
}

export interface MeteredNetwork extends Network {
  readonly pulls: Pull[]
  /** Bytes of each message that left by gossip. */
  readonly published: number[]
}

export function metered(network: Network): MeteredNetwork {
  const pulls: Pull[] = []
  const published: number[] = []
  return {
    pulls,
    published,
    nodeId: network.nodeId,
    addresses: () => network.addresses(),
    listens: () => network.listens(),
    setExternal: (multiaddrs) => network.setExternal(multiaddrs),
    setReachable: (isReachable) => network.setReachable(isReachable),
    natMapping: () => network.natMapping(),
    onAddresses: (handler) => network.onAddresses(handler),
    peers: () => network.peers(),
    start: () => network.start(),
    onGossip: (topic, handler) => network.onGossip(topic, handler),
    publish: async (topic, data) => {
      const peers = await network.publish(topic, data)
      published.push(data.length)
      return peers
    },
    handle: (protocol, handler) => network.handle(protocol, handler),
    request: async (to, protocol, request, options) => {
      const answer = await network.request(to, protocol, request, options)
      pulls.push({ protocol, answerBytes: answer.length })
      return answer
    },
    connect: (multiaddrs) => network.connect(multiaddrs),
    onPeer: (handler) => network.onPeer(handler),
    score: (nodeId) => network.score(nodeId),
    stop: () => network.stop(),
  }
}
