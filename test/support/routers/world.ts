/** What the Router suite needs of each router: made anew for each test. */
import type { Router } from '../../../node/ports.ts'

export interface RouterWorld {
  readonly router: Router
  readonly externalHost: string
  /** Another machine of the home has this port. */
  take(protocol: 'tcp' | 'udp', externalPort: number): void
  /** `tcp 4811 -> 4811`, of our machine. */
  mappings(): string[]
  /** It answers no more. */
  off(): Promise<void>
  close(): Promise<void>
}
