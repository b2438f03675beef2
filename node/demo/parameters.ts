/**
 * The demo's federation runs with short times. They are federation parameters like any other federation's, written into its
 * root document; no code asks whether it is a demo.
 */
import { DEFAULT_PARAMETERS, type Parameters } from '../../protocol/parameters.ts'

export const DEMO_PARAMETERS: Parameters = {
  ...DEFAULT_PARAMETERS,
  ttlMs: 15_000,
  renewMs: 5_000,
  publishMinMs: 250,
  settleMs: 3_000,
  waveMs: 3_000,
  claimStallMs: 120_000,
  claimBytesPerSecondMin: 16 * 1024,
  leadStallMs: 12_000,
  leadBytesPerSecondMin: 64 * 1024,
  auditEveryMs: 10_000,
  auditTimeoutMs: 10_000,
  restMs: 60_000,
  goneMs: 3_600_000,
  antiEntropyMs: 3_000,
  clockSkewMs: 2_000,
}
