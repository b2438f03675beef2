/**
 * The named points of a fetch at which the power may go (PROTOCOL 6). Between any two of them the disk holds a state from which the
 * next start goes on; test/integration/kill.test.ts ends the process at each. Nobody else listens.
 */
export const FETCH_STEPS = [
  /** The staging folder stands, and what lay in the mirror is back in it. */
  'staged',
  /** The side file says which version the bytes to come belong to. */
  'side-file',
  /** Some bytes are written, not durably. */
  'chunk',
  /** What is written so far is durable, and the side file says how much. */
  'part-synced',
  /** All bytes of a file are durable. */
  'file-synced',
  /** Its side file is gone. */
  'file-whole',
  /** Every size and digest matches; so far only this process knows. */
  'verified',
  /** One file stands in the mirror. */
  'moved',
  'metadata-written',
  'torrent-written',
  'staging-removed',
  'seeded',
] as const
export type FetchStep = (typeof FETCH_STEPS)[number]
export type OnStep = (step: FetchStep) => void
