/** How much memory V8 may take for what is soon garbage. */
import { setFlagsFromString } from 'node:v8'

/**
 * The young generation grows no more from here on. By itself it grows to 100 MiB and more while a large store is read at start, and
 * never gives that back; a node lives for months after. Call it once the modules are loaded: they let it grow to a useful size.
 */
export function boundYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}
