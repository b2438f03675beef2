/**
 * What may pass between the DHT's package and the network (BEP 5, 32). The package takes a datagram's word for its types: one with a
 * number where an infohash belongs ends its process, and it answers with all that it knows, however long. So each datagram is
 * decoded within bounds and written anew from the fields that were understood. Pure.
 */
import {
  type Bencodable,
  type Bencoded,
  type BencodedMap,
  BencodeError,
  bdecode,
  bencode,
} from '../../protocol/codec/bencode.ts'
import { type DhtAddresses, IPV4 } from './dht-addresses.ts'

/** Longest datagram that is read: answers of some programs hold all nodes that they know. */
export const KRPC_BYTES_MAX = 4_096
/** BEP 5: an answer names the K closest nodes. */
const NODES_MAX = 8
/** Of an answer that is read; others give more than 8. */
const NODES_READ_MAX = 40
const PEERS_READ_MAX = 100
const ID_BYTES = 20
const PORT_BYTES = 2
/** Of the package's side. */
const NODE_BYTES = ID_BYTES + 4 + PORT_BYTES
const TRANSACTION_BYTES_MAX = 32
const TOKEN_BYTES_MAX = 64

export interface Krpc {
  readonly kind: 'query' | 'answer'
  readonly bytes: Uint8Array
  /** Of a query: whoever asks answers none (BEP 43). @default false */
  readonly isReader?: boolean
}

/**
 * Null when it is none, or a query that we do not serve (BEP 44 would have us keep strangers' data). A query says no more who
 * asks: the package would put whoever asks into its table, who need not even exist. `mayName` judges the addresses of nodes.
 */
export function readKrpc(
  bytes: Uint8Array,
  mayName: (host: string) => boolean,
  addresses: DhtAddresses = IPV4,
): Krpc | null {
  const map = decode(bytes)
  const t = map?.get('t')
  if (map === undefined || !isBytes(t, 1, TRANSACTION_BYTES_MAX)) return null
  switch (textOf(map.get('y'))) {
    case 'q':
      return readQuery(map, t)
    case 'r':
      return readAnswer(map.get('r'), t, mayName, addresses)
    case 'e':
      return { kind: 'answer', bytes: bencode({ t, y: 'e', e: [codeOf(map.get('e')), 'refused'] }) }
    default:
      return null
  }
}

/** What the package sends, with no more nodes and peers than BEP 5 wants and one datagram holds. */
export function trimKrpc(bytes: Uint8Array, addresses: DhtAddresses = IPV4): Uint8Array {
  if (addresses.family === 'ipv4' && bytes.length <= NODES_MAX * NODE_BYTES) return bytes
  const map = sentMap(bytes)
  const r = map.get('r')
  if (!(r instanceof Map)) return bytes
  const short = new Map<string, Bencoded>(r)
  const { nodes, values } = { nodes: r.get('nodes'), values: r.get('values') }
  short.delete('nodes')
  if (nodes instanceof Uint8Array)
    short.set(addresses.nodesKey, sentNodes(nodes.subarray(0, NODES_MAX * NODE_BYTES), addresses))
  if (Array.isArray(values)) {
    const peers = values.slice(0, addresses.peersMax).filter((one) => one instanceof Uint8Array)
    short.set(
      'values',
      peers.map((one) => sentEndpoint(one, addresses)).filter((one) => one !== null),
    )
  }
  return bencode(new Map<string, Bencodable>([...map, ['r', short]]))
}

/** A query of one who answers none (BEP 43): others do not take it into their tables. */
export function readerQuery(bytes: Uint8Array): Uint8Array {
  return bencode(new Map<string, Bencodable>([...sentMap(bytes), ['ro', 1]]))
}

/** BEP 5: with `y` = `q`; the package writes keys in order. */
export function isQuery(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(-7)).toString('latin1') === '1:y1:qe'
}

/** What the package wrote. */
const sentMap = (bytes: Uint8Array): BencodedMap =>
  bdecode(bytes, { bytesMax: 1024 * 1024, itemsMax: 100_000, depthMax: 4 }) as BencodedMap

function readQuery(map: BencodedMap, t: Uint8Array): Krpc | null {
  const a = map.get('a')
  const q = textOf(map.get('q'))
  if (!(a instanceof Map) || !isBytes(a.get('id'), ID_BYTES)) return null
  const fields = fieldsOf(q, a)
  if (fields === null) return null
  return { kind: 'query', bytes: bencode({ t, y: 'q', q, a: fields }), isReader: map.get('ro') === 1 }
}

function fieldsOf(q: string, a: BencodedMap): Record<string, Bencodable> | null {
  const [target, hash, token, port] = ['target', 'info_hash', 'token', 'port'].map((name) => a.get(name))
  if (q === 'ping') return {}
  if (q === 'find_node') return isBytes(target, ID_BYTES) ? { target } : null
  if (!isBytes(hash, ID_BYTES)) return null
  if (q === 'get_peers') return { info_hash: hash }
  if (q !== 'announce_peer' || !isBytes(token, 1, TOKEN_BYTES_MAX)) return null
  const named = { info_hash: hash, token }
  if (a.get('implied_port') === 1) return { ...named, implied_port: 1 }
  return isPort(port) ? { ...named, implied_port: 0, port } : null
}

function readAnswer(
  r: Bencoded | undefined,
  t: Uint8Array,
  mayName: (host: string) => boolean,
  addresses: DhtAddresses,
): Krpc | null {
  if (!(r instanceof Map)) return null
  const names = ['id', addresses.nodesKey, 'values', 'token']
  const [id, nodes, values, token] = names.map((name) => r.get(name))
  const peerBytes = addresses.bytes + PORT_BYTES
  if (!isBytes(id, ID_BYTES)) return null
  const fields = {
    id,
    ...(nodes instanceof Uint8Array ? { nodes: goodNodes(nodes, mayName, addresses) } : {}),
    ...(Array.isArray(values)
      ? {
          values: values
            .filter((one) => isBytes(one, peerBytes))
            .slice(0, PEERS_READ_MAX)
            .map((one) => innerEndpoint(one, addresses)),
        }
      : {}),
    ...(isBytes(token, 1, TOKEN_BYTES_MAX) ? { token } : {}),
  }
  return { kind: 'answer', bytes: bencode({ t, y: 'r', r: fields }) }
}

function goodNodes(
  nodes: Uint8Array,
  mayName: (host: string) => boolean,
  addresses: DhtAddresses,
): Uint8Array {
  const good: Uint8Array[] = []
  const step = ID_BYTES + addresses.bytes + PORT_BYTES
  for (let at = 0; at + step <= nodes.length && good.length < 2 * NODES_READ_MAX; at += step) {
    const endpoint = nodes.subarray(at + ID_BYTES, at + step)
    if (!mayName(addresses.textOf(endpoint.subarray(0, addresses.bytes)))) continue
    good.push(nodes.subarray(at, at + ID_BYTES), innerEndpoint(endpoint, addresses))
  }
  return Buffer.concat(good)
}

/** An address and a port. */
function innerEndpoint(endpoint: Uint8Array, addresses: DhtAddresses): Uint8Array {
  const { bytes } = addresses
  return Buffer.concat([addresses.innerBytes(endpoint.subarray(0, bytes)), endpoint.subarray(bytes)])
}

/** Without those that stand for nobody any more. */
function sentNodes(nodes: Uint8Array, addresses: DhtAddresses): Uint8Array {
  const sent: Uint8Array[] = []
  for (let at = 0; at + NODE_BYTES <= nodes.length; at += NODE_BYTES) {
    const endpoint = sentEndpoint(nodes.subarray(at + ID_BYTES, at + NODE_BYTES), addresses)
    if (endpoint !== null) sent.push(nodes.subarray(at, at + ID_BYTES), endpoint)
  }
  return Buffer.concat(sent)
}

function sentEndpoint(endpoint: Uint8Array, addresses: DhtAddresses): Uint8Array | null {
  const address = addresses.outerBytes(endpoint.subarray(0, 4))
  return address === null ? null : Buffer.concat([address, endpoint.subarray(4)])
}

function decode(bytes: Uint8Array): BencodedMap | undefined {
  try {
    const value = bdecode(bytes, { bytesMax: KRPC_BYTES_MAX, itemsMax: 1_000, depthMax: 4 })
    return value instanceof Map ? value : undefined
  } catch (error) {
    if (error instanceof BencodeError) return undefined
    throw error
  }
}

function isBytes(value: unknown, min: number, max = min): value is Uint8Array {
  return value instanceof Uint8Array && value.length >= min && value.length <= max
}

const isPort = (value: Bencoded | undefined): value is number =>
  typeof value === 'number' && value > 0 && value <= 65_535

const textOf = (value: Bencoded | undefined): string =>
  value instanceof Uint8Array && value.length <= 32 ? Buffer.from(value).toString('latin1') : ''

function codeOf(value: Bencoded | undefined): number {
  const [code] = Array.isArray(value) ? value : []
  return typeof code === 'number' ? code : 0
}
