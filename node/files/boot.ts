/** Which start of the machine this is: what was written, but not synced, is there as long as it has not ended. */
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

const LINUX = '/proc/sys/kernel/random/boot_id'

/** A text that is the same until the next start of the machine. Elsewhere than on Linux: when it started, to ten minutes. */
export function bootId(wallMs: number): string {
  try {
    return readFileSync(LINUX, 'utf8').trim()
  } catch {
    return `started ${Math.round((wallMs / 1_000 - uptime()) / 600)}`
  }
}
