/** JSON schemas of the answers of `/api/v1`: what is not named here does not leave, so the shape is pinned. */

const text = { type: 'string' }
const whole = { type: 'integer' }
const yesNo = { type: 'boolean' }
const textOrNull = { type: ['string', 'null'] }
const wholeOrNull = { type: ['integer', 'null'] }

interface Schema {
  readonly [keyword: string]: unknown
}

/** Every field is required, and no other is let through. */
function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', additionalProperties: false, required: Object.keys(properties), properties }
}

function list(items: Schema): Schema {
  return { type: 'array', items }
}

const counts = object({
  shards: whole,
  flawed: whole,
  safe: whole,
  archived: whole,
  published: whole,
  claimed: whole,
  fetching: whole,
  held: whole,
  audited: whole,
  audits: object({ pass: whole, fail: whole, offline: whole, unknown: whole }),
  nodesLive: whole,
})

const problem = object({
  shard: textOrNull,
  code: text,
  detail: text,
  files: list(text),
  atMs: whole,
  resolvedAtMs: wholeOrNull,
})

const knownNode = object({
  node: text,
  operator: text,
  standing: text,
  held: whole,
  claimed: whole,
  reachable: yesNo,
  agent: text,
  self: yesNo,
  listed: yesNo,
})

const discovery = object({ off: textOrNull, port: wholeOrNull, nodes: whole, announcedAtMs: wholeOrNull })
const portReached = object({
  reachedBy: whole,
  reachedFromOutsideBy: whole,
  missedBy: whole,
  reachedAtMs: wholeOrNull,
})

const port = object({
  name: text,
  protocol: text,
  port: whole,
  forwarding: {
    ...object({ by: textOrNull, externalHost: textOrNull, externalPort: wholeOrNull, error: textOrNull }),
    nullable: true,
  },
  ipv4: portReached,
  ipv6: portReached,
  natMapping: textOrNull,
})

export const STATUS_SCHEMA = object({
  version: text,
  node: text,
  operator: text,
  role: text,
  federation: text,
  startedAtMs: whole,
  nowMs: whole,
  parametersFingerprint: text,
  reachable: yesNo,
  peers: whole,
  addresses: list(text),
  bittorrent: object({
    port: whole,
    engine: text,
    discovery: object({ dht: discovery, dht6: discovery, lsd: discovery }),
  }),
  ports: list(port),
  capacity: object({ bytesTotal: whole, bytesUsed: whole }),
  catalog: object({ source: text, readAtMs: wholeOrNull, observed: whole }),
  counts,
  traffic: object({ originBytes: whole, elsewhereBytes: whole, swarmDownBytes: whole, swarmUpBytes: whole }),
  pace: object({
    pausedBy: textOrNull,
    pausedFetches: whole,
    webLimitBytesPerSecond: wholeOrNull,
    quietHours: list(text),
    monthUsedBytes: whole,
    monthlyBudgetBytes: wholeOrNull,
  }),
  fetches: list(object({ shard: text, from: text, doneBytes: whole, sizeBytes: whole })),
  problems: list(problem),
  nodes: list(knownNode),
})

const holder = object({
  node: text,
  operator: text,
  standing: text,
  reachable: yesNo,
  audited: yesNo,
  auditedAtMs: wholeOrNull,
})

const shard = object({
  id: text,
  key: text,
  wiki: text,
  date: text,
  cycle: text,
  infohash: textOrNull,
  bytes: whole,
  replicas: whole,
  held: whole,
  claimed: whole,
  safe: yesNo,
  archived: yesNo,
  published: yesNo,
  observed: yesNo,
  failedJobs: list(text),
  archiveItem: textOrNull,
  own: textOrNull,
  done: whole,
  led: yesNo,
  fromOriginBytes: whole,
  fromSwarmBytes: whole,
  structure: {
    ...object({ judged: whole, broken: list(object({ path: text, offsetBytes: whole, detail: text })) }),
    nullable: true,
  },
  holders: list(holder),
})

/** `total` counts all shards; `shards` are those from `offset` on, `limit` of them at most. */
export const SHARDS_SCHEMA = object({ total: whole, offset: whole, shards: list(shard) })

/** `total` counts all receipts of failures; `receipts` are the newest, both messages of each in base64. */
export const RECEIPTS_SCHEMA = object({
  total: whole,
  receipts: list(
    object({ shard: text, node: text, auditor: text, atMs: whole, challenge: text, answer: text }),
  ),
})

/** Numbers in a query are text; Ajv reads them. */
export const SHARDS_QUERY_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    offset: { type: 'integer', minimum: 0, maximum: 1_000_000_000, default: 0 },
    limit: { type: 'integer', minimum: 0, maximum: 20_000, default: 20_000 },
  },
}

export const HEALTH_SCHEMA = object({ ok: yesNo, version: text, role: text, peers: whole })

export const ERROR_SCHEMA = object({ error: object({ code: text, message: text }) })
