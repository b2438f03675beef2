/** One simulated node: the product's core, a disk, clocks, and what it would have on its store. */
import type { Receipt } from '../../protocol/audit/receipt.ts'
import type { ObservationBook } from '../../protocol/catalog/observation-book.ts'
import type { Kept } from '../../protocol/core/kept.ts'
import type { CoreState, Settings } from '../../protocol/core/state.ts'
import type { NodeId } from '../../protocol/ids.ts'
import type { NodeRecord } from '../../protocol/manifest/node-record.ts'
import type { RecordBook } from '../../protocol/manifest/record-book.ts'
import type { Catalogs } from './catalogs.ts'
import { Clock } from './clock.ts'
import { Disk } from './disk.ts'
import type { NodeKey } from './keys.ts'
import type { Flight } from './network.ts'
import type { Profile } from './profiles.ts'

export class Machine {
  readonly index: number
  key: NodeKey
  readonly profile: Profile
  readonly settings: Settings
  readonly clock: Clock
  readonly disk: Disk

  /** What is in memory: gone when the power goes. */
  state: CoreState | null = null
  book: RecordBook | null = null
  observations: ObservationBook | null = null
  up = false
  /** Never comes back. */
  gone = false
  /** Grows with each start and stop, so that what was under way in an earlier life is not taken for this one's. */
  life = 0
  /** Virtual ms of the tick that is arranged; others in the heap are void. */
  wakesAtMs = Number.POSITIVE_INFINITY
  /** Id of the first gossiped message that it did not read. */
  cursor = 0
  /** Messages that come later, or once more. */
  late: Flight[] = []
  /** The power goes after so many more effects; -1: it stays. */
  effectsUntilCrash = -1
  /** Transfers that take from this machine's downlink, from origin, and from its uplink. */
  downloads = 0
  originDownloads = 0
  uploads = 0

  /** What is on its store: survives a crash. */
  kept: Kept | null = null
  /** What it knows of others. */
  records: NodeRecord[] = []
  catalogs: Catalogs | null = null
  /** Sealed observations. */
  observed: Uint8Array[] = []
  /** Receipts of failures that it found, by `auditKey`. */
  readonly failures = new Map<string, Receipt>()
  /** What its owner gives now, and whether he wants to leave: he says so again after a restart. */
  bytesTotal: number
  leaving = false
  /** Its store was lost once: it may not know what lies on its disk. */
  forgot = false
  /** What the core had given away at the last look. */
  reservedBytes = 0

  /** Senders of whom it may lack something, as the network knows: only these are looked at in an exchange. */
  readonly behind = new Set<number>()
  /** Just came up, so that it may lack anything: exchanges that still look at everything. */
  freshVisits = 0

  constructor(index: number, key: NodeKey, profile: Profile, settings: Settings) {
    this.index = index
    this.key = key
    this.profile = profile
    this.settings = settings
    this.bytesTotal = settings.bytesTotal
    this.clock = new Clock(profile.skewMs)
    this.disk = new Disk(`n${index}`, profile.diskBytes)
  }

  get id(): NodeId {
    return this.key.nodeId
  }

  get honest(): boolean {
    return this.profile.kind === 'honest' || this.profile.kind === 'free-rider'
  }

  get volunteer(): boolean {
    return this.settings.role === 'volunteer'
  }

  missed(sender: number): void {
    this.behind.add(sender)
  }
}

/** Machines with a public address are neighbours of up to this many. */
const NETWORK_SIZE = 4
const PUBLIC = 44

/** The public network that a machine is in, as a number; null: its address is private. */
export const networkOf = ({ index, profile }: Pick<Machine, 'index' | 'profile'>): number | null =>
  profile.isPublic ? Math.floor(index / NETWORK_SIZE) : null

/** The address that a machine tells, and back. */
export function hostOf(machine: Pick<Machine, 'index' | 'profile'>): string {
  const { index } = machine
  const network = networkOf(machine)
  if (network === null) return `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
  return `${PUBLIC}.${network >> 8}.${network & 255}.${1 + (index % NETWORK_SIZE)}`
}

export function machineOfHost(host: string): number {
  const [first, a = 0, b = 0, c = 0] = host.split('.').map(Number)
  return first === PUBLIC ? ((a << 8) | b) * NETWORK_SIZE + c - 1 : (a << 16) | (b << 8) | c
}
