// Command line flags for the faults, as data.
import type { Faults } from './faults.ts'

export type FaultFlag = {
  flag: string
  /** What the flag takes: a number, a list of texts (the flag may come several times), or nothing. */
  takes: 'number' | 'list' | 'nothing'
  help: string
  change: (given: { number: number; list: string[] }) => Partial<Faults>
}

export const faultFlags: FaultFlag[] = [
  rate('fault-429', 'of Wikimedia requests begin a burst of 429 with Retry-After', 'wikimedia429Rate'),
  rate('fault-503', 'of Wikimedia requests begin a burst of 503 with Retry-After', 'wikimedia503Rate'),
  count('burst', 'requests in such a burst (3)', 'burstLength'),
  count('retry-after', 'seconds in Retry-After (1)', 'retryAfterSeconds'),
  rate('fault-cut', 'of dump downloads are cut in the body', 'cutRate'),
  rate('fault-truncated-json', 'of status JSON answers end too early', 'truncatedJsonRate'),
  rate('fault-html-json', 'of status JSON answers are an HTML page', 'htmlJsonRate'),
  rate('fault-wrong-bytes', 'of dump downloads have one byte altered', 'wrongBytesRate'),
  {
    flag: 'wrong-bytes',
    takes: 'list',
    help: 'GLOB[=TIMES]: alter one byte of the matching dump files, always or TIMES times',
    change: ({ list }) => ({
      wrongBytes: list.map(globCount).map(({ glob, count = 0 }) => ({ glob, times: count })),
    }),
  },
  {
    flag: 'changing',
    takes: 'list',
    help: 'GLOB[=READS]: a second version is served after READS reads (1)',
    change: ({ list }) => ({
      changing: list.map(globCount).map(({ glob, count = 1 }) => ({ glob, afterReads: count })),
    }),
  },
  {
    flag: 'in-progress',
    takes: 'list',
    help: 'WIKI/DATE: the last job of that run is still being written',
    change: ({ list }) => ({ inProgress: list }),
  },
  count(
    'late-hashes',
    'the first N reads of a run’s status lack the hashes of its newest job',
    'lateHashReads',
  ),
  {
    flag: 'unfinished-export',
    takes: 'list',
    help: 'KIND/WIKI/DATE: that content file export is still being written',
    change: ({ list }) => ({ unfinishedExports: list }),
  },
  {
    flag: 'half-sums',
    takes: 'list',
    help: 'KIND/WIKI/DATE: the SHA256SUMS of that export is half-written',
    change: ({ list }) => ({ halfSums: list }),
  },
  {
    flag: 'no-listings',
    takes: 'nothing',
    help: 'folders are not listed',
    change: () => ({ listingsOff: true }),
  },
  rate('fault-archive-503', 'of uploads to the Archive are refused with SlowDown', 'archive503Rate'),
  rate('fault-archive-cut', 'of uploads to the Archive are cut half way', 'archiveCutRate'),
  rate('fault-archive-redirect', 'of uploads to the Archive are answered with 307', 'archiveRedirectRate'),
  {
    flag: 'archive-over-limit',
    takes: 'nothing',
    help: 'check_limit says over_limit 1',
    change: () => ({ archiveOverLimit: true }),
  },
  rate('fault-r2', 'of R2 requests fail with 500 or 503', 'r2ErrorRate'),
  {
    flag: 'no-r2-write-limit',
    takes: 'nothing',
    help: 'allow more than one write a second to one R2 key',
    change: () => ({ r2WriteLimit: false }),
  },
  rate('fault-gist', 'of Gist requests meet the secondary rate limit or a 502', 'gistErrorRate'),
]

type RateName = { [K in keyof Faults]: Faults[K] extends number ? K : never }[keyof Faults]

function rate(flag: string, help: string, name: RateName): FaultFlag {
  return {
    flag,
    takes: 'number',
    help: `RATE: share (0 to 1) ${help}`,
    change: ({ number }) => ({ [name]: number }),
  }
}

function count(flag: string, help: string, name: RateName): FaultFlag {
  return { flag, takes: 'number', help: `N: ${help}`, change: ({ number }) => ({ [name]: number }) }
}

function globCount(text: string): { glob: string; count?: number } {
  const match = /^(.+)=(\d+)$/.exec(text)
  return match ? { glob: match[1] ?? '', count: Number(match[2]) } : { glob: text }
}
