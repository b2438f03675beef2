/** A wire without a peer, for what wraps or replaces a part of one. */
import { EventEmitter } from 'node:events'
import type { Wire } from '../../node/transfer/wire.ts'

/** A wire that only writes down what is done to it. */
export function fakeWire(fields: Partial<Wire> = {}) {
  const done: string[] = []
  const sent: Uint8Array[] = []
  const wire: Wire = Object.assign(new EventEmitter(), {
    destroyed: false,
    peerPieces: { get: () => true, set: () => {} },
    uploaded: 0,
    uploadSpeed: () => {},
    _onHave: () => {},
    peerChoking: true,
    downloaded: 0,
    extendedHandshake: {},
    peerExtendedHandshake: {},
    peerExtendedMapping: { ut_metadata: 3 },
    peerRequests: [],
    hasFast: true,
    use: () => {},
    extended: (_name: string, message: Uint8Array) => void sent.push(message),
    interested: () => void done.push('interested'),
    request: () => void done.push('ask'),
    requests: [],
    cancel: () => void done.push('cancel'),
    have: () => void done.push('have'),
    _push: () => {},
    _debug: () => {},
    reject: () => void done.push('reject'),
    destroy: () => void done.push('destroy'),
    _parserSize: 4,
    _parser: () => {},
    _parse: (sizeBytes: number) => void done.push(`parse ${sizeBytes}`),
    _buffer: [],
    _bufferSize: 0,
    _processBuffer: () => {},
    _write: () => {},
    _onRequest: () => void done.push('request'),
    _onCancel: () => void done.push('cancelled'),
    amChoking: false,
    choke: () => void done.push('choke'),
    _readableState: { buffered: 0 },
    ...fields,
  })
  return { wire, done, sent }
}
