/** Processor time and memory of another process, from Linux's /proc (proc(5)). */
import { readFileSync } from 'node:fs'

/** USER_HZ, which is 100 on every Linux of today. */
const TICKS_PER_SECOND = 100
const SAMPLE_MS = 100

/** Seconds of processor time of all its threads, user and system. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The second field, the program's name in parentheses, may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Bytes that no other process shares. */
export function privateBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  const kib = (name: string) => Number(new RegExp(`^${name}: +([0-9]+) kB$`, 'm').exec(text)?.[1] ?? 0)
  return (kib('Private_Clean') + kib('Private_Dirty')) * 1024
}

/** The most private memory that it had, looked at ten times a second until `stop`. */
export function watchMemory(pid: number): { stop(): number } {
  let most = privateBytes(pid)
  const timer = setInterval(() => {
    most = Math.max(most, privateBytes(pid))
  }, SAMPLE_MS)
  return {
    stop() {
      clearInterval(timer)
      return Math.max(most, privateBytes(pid))
    },
  }
}
