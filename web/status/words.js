// Numbers and states in words. Plain functions, no page: also run by the tests.

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB']

/** Decimal, as disks are sold: 1.5 GB. */
export function bytes(count) {
  let value = count
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1_000
    unit++
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

export function percent(part, whole) {
  return whole === 0 ? '' : `${Math.floor((part * 100) / whole)} %`
}

/** A span of time in its largest whole unit: 3 min. */
export function ago(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} days`
}

/** `20260101` -> `2026-01-01` */
export function day(date) {
  return `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`
}

export function shortId(id) {
  return id.length <= 16 ? id : `${id.slice(0, 8)}…${id.slice(-6)}`
}

/** One word for how a dump is kept, and which of the three looks it has. */
export function stateOf({ safe, archived, held, claimed, replicas }) {
  if (safe) return { word: archived ? 'safe, archived' : 'safe', kind: 'safe' }
  if (archived) return { word: 'archived, copies missing', kind: 'wait' }
  if (replicas > 0 || held > 0) return { word: 'copies being proven', kind: 'wait' }
  if (claimed > 0) return { word: 'on its way', kind: 'wait' }
  return { word: 'nobody has it', kind: 'bad' }
}

/** Where this process got it. */
export function sourceWord({ fromOriginBytes, fromSwarmBytes }) {
  if (fromOriginBytes > 0 && fromSwarmBytes > 0) return 'from both'
  if (fromOriginBytes > 0) return 'from Wikimedia'
  return fromSwarmBytes > 0 ? 'from the swarm' : ''
}

/** Who runs which node, and how long. */
export function whoWords({ operator, node, version, nowMs, startedAtMs }) {
  const by = operator === '' ? [] : [`run by ${operator}`]
  return [...by, node, `version ${version}`, `up ${ago(nowMs - startedAtMs)}`].join(' · ')
}

/** Which federation this is, and where and how others find the node. */
export function footWords({ federation, parametersFingerprint, addresses, bittorrent, nowMs }) {
  const { port, engine, discovery } = bittorrent
  return [
    `Federation ${federation.slice(0, 16)}…`,
    `parameters ${parametersFingerprint}`,
    addresses.length === 0 ? 'no address' : addresses.join(' '),
    `BitTorrent port ${port}, ${engine}`,
    discoveryWords('DHT', discovery.dht, nowMs),
    discoveryWords('DHT over IPv6', discovery.dht6, nowMs),
    discoveryWords('local network', discovery.lsd, nowMs),
  ].join(' · ')
}

function discoveryWords(name, { off, nodes, announcedAtMs }, nowMs) {
  if (off !== null) return `${name} off: ${off}`
  const said =
    announcedAtMs === null ? 'nothing announced yet' : `announced ${ago(nowMs - announcedAtMs)} ago`
  return [name, nodes === 0 ? '' : ` ${nodes} nodes,`, ` ${said}`].join('')
}

/** Who says which dumps there are, while no coordinator does. */
export function catalogWords({ readAtMs, observed }, nowMs) {
  const known = observed === 1 ? '1 dump is' : `${observed} dumps are`
  return `No coordinator has read Wikimedia for ${ago(nowMs - readAtMs)}: nodes observe it instead. ${known} known by them only.`
}

/** Who dialled back to a port over one family of addresses. */
export function reachedWords({ reachedBy, reachedFromOutsideBy, missedBy, reachedAtMs }, nowMs) {
  if (reachedBy + missedBy === 0) return 'not tested'
  const of = `${reachedBy} of ${reachedBy + missedBy} peers`
  return reachedAtMs === null
    ? `reached by ${of}`
    : `reached by ${of}, ${reachedFromOutsideBy} from outside, ${ago(nowMs - reachedAtMs)} ago`
}

/** What the home router does for a port. */
export function routerWords({ forwarding, natMapping }) {
  const words = forwardingWords(forwarding)
  return natMapping === 'changing' ? `${words}; gives each connection another port: no hole punching` : words
}

function forwardingWords(forwarding) {
  if (forwarding === null) return 'not asked'
  const { by, externalHost, externalPort, error } = forwarding
  if (by === null) return error === null ? 'being asked' : 'does not forward it'
  return `forwards ${externalHost}:${externalPort} by ${by}`
}

const PROBLEMS = {
  'digest-mismatch': 'upstream’s bytes do not have upstream’s digest, so it is not held',
  'catalog-disagrees': 'upstream says something else than the catalog',
  'origin-unavailable': 'Wikimedia could not be read',
  'bad-infohash': 'a torrent does not stand for these bytes',
  'swarm-failed': 'no progress in the swarm',
  'disk-full': 'the disk is full',
  'disk-error': 'the disk failed',
  damaged: 'our copy was damaged',
  'budget-used': 'the month’s bytes are spent',
  'not-forwarded': 'the home router does not let others in',
  'bad-source': 'a source gave wrong bytes; they come from another',
}

/** A problem's code in words; codes that this page does not know stay as they are. */
export function problemWord(code) {
  return Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : code
}
