/** One article from a swarm of two nodes on loopback, each read with an engine of its own and nothing remembered. */
import { publishRuns } from '../support/published.ts'
import { indexOf, median, randomTitles, readOne } from '../support/read-many.ts'
import type { Bench } from './bench.ts'

export const bench: Bench = {
  group: 'reading',
  async run() {
    const published = await publishRuns({ runs: ['fatwiki/20240920'], seeds: 2 })
    try {
      const of = await indexOf(published)
      const all = []
      for (const title of randomTitles(of.index, 100, 20240920)) all.push(await readOne(published, title, of))
      const shares = all.map((one) => one.wireBytes / one.boundBytes)
      return [
        {
          what: 'read of a random title of fatwiki, median of 100',
          value: median(all.map((one) => one.ms)),
          unit: 'ms',
        },
        { what: '... the slowest', value: Math.max(...all.map((one) => one.ms)), unit: 'ms' },
        { what: 'bytes on the wire, median', value: median(all.map((one) => one.wireBytes)), unit: 'bytes' },
        { what: '... the most', value: Math.max(...all.map((one) => one.wireBytes)), unit: 'bytes' },
        {
          what: '... as a share of the bound (index and stream, plus 2 pieces, plus 10 %), the most',
          value: 100 * Math.max(...shares),
          unit: '%',
        },
        { what: 'the dump', value: published.held[0]?.merged.sizeBytes ?? 0, unit: 'bytes' },
      ]
    } finally {
      await published.close()
    }
  },
}
