/** What a node says about itself rather than about shards (PROTOCOL 4). Travels only when it changed. */
import { equalBytes } from '../codec/bytes.ts'
import { decodeCbor, encodeCbor } from '../codec/cbor.ts'
import { boolean, integer, list, record, ShapeError } from '../codec/shape.ts'
import { ENDPOINTS_MAX, LANGUAGES_MAX, NODE_HEAD_BYTES_MAX, NODE_MANIFEST_ENTRIES_MAX } from '../limits.ts'
import { type Endpoint, readEndpoint, readText, tuple } from './entry.ts'

export interface NodeHead {
  /** Fingerprint of the federation parameters it runs with. */
  readonly parameters: string
  /** claimsMax: claims under way at once that it allows itself. */
  readonly capacity: {
    readonly bytesTotal: number
    readonly bytesUsed: number
    readonly claimsMax: number
  }
  /** Software and version. */
  readonly agent: string
  /** Who runs it; empty: the node stands for itself. */
  readonly operator: string
  readonly languages: readonly string[]
  readonly endpoints: { readonly libp2p: readonly string[]; readonly bittorrent: readonly Endpoint[] }
  /** A dial-back from another node reached it. */
  readonly reachable: boolean
}

const KEYS = ['parameters', 'capacity', 'agent', 'operator', 'languages', 'endpoints', 'reachable'] as const

export function headToValue(head: NodeHead): Record<string, unknown> {
  return {
    parameters: head.parameters,
    capacity: [head.capacity.bytesTotal, head.capacity.bytesUsed, head.capacity.claimsMax],
    agent: head.agent,
    operator: head.operator,
    languages: head.languages,
    endpoints: {
      libp2p: head.endpoints.libp2p,
      bittorrent: head.endpoints.bittorrent.map((endpoint) => [endpoint.host, endpoint.port]),
    },
    reachable: head.reachable,
  }
}

/** Throws ShapeError with the path that failed. */
export function readHead(value: unknown, path: string): NodeHead {
  const fields = record(value, path, KEYS)
  const [bytesTotal, bytesUsed, claimsMax] = tuple(fields.capacity, `${path}.capacity`, 3)
  const endpoints = record(fields.endpoints, `${path}.endpoints`, ['libp2p', 'bittorrent'])
  return {
    parameters: readText(fields.parameters, `${path}.parameters`),
    capacity: {
      bytesTotal: integer(bytesTotal, `${path}.capacity.total`),
      bytesUsed: integer(bytesUsed, `${path}.capacity.used`),
      claimsMax: integer(claimsMax, `${path}.capacity.claims`, 0, NODE_MANIFEST_ENTRIES_MAX),
    },
    agent: readText(fields.agent, `${path}.agent`),
    operator: readText(fields.operator, `${path}.operator`),
    languages: list(fields.languages, `${path}.languages`, LANGUAGES_MAX, readText),
    endpoints: {
      libp2p: list(endpoints.libp2p, `${path}.endpoints.libp2p`, ENDPOINTS_MAX, readText),
      bittorrent: list(endpoints.bittorrent, `${path}.endpoints.bittorrent`, ENDPOINTS_MAX, readEndpoint),
    },
    reachable: boolean(fields.reachable, `${path}.reachable`),
  }
}

/** Kept with the head: it is compared, hashed and told again and again. Not to be changed. */
export function encodeHead(head: NodeHead): Uint8Array {
  let bytes = encoded.get(head)
  if (bytes === undefined) {
    bytes = encodeCbor(headToValue(head))
    encoded.set(head, bytes)
  }
  return bytes
}
const encoded = new WeakMap<NodeHead, Uint8Array>()

/** Throws ShapeError, also for bytes that are not the one encoding of what they say. */
export function decodeHead(bytes: Uint8Array): NodeHead {
  const head = readHead(decodeCbor(bytes, 'head', NODE_HEAD_BYTES_MAX), 'head')
  if (!equalBytes(encodeHead(head), bytes)) throw new ShapeError('head', 'canonical dag-cbor')
  return head
}
