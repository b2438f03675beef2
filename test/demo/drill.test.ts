/** The fire drill as a person runs it. What came back is looked at here once more, without anything of the product. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from './support.ts'

const DUMPS = join(ROOT, 'test', 'fixtures', 'dumps')

describe('when Wikimedia, the Internet Archive, the coordinator and a volunteer are gone', () => {
  let dir: string
  let ended: { code: number | null; out: string; error: string }

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'wikiseed-drill-'))
    const args = [join(ROOT, 'node/wikiseed.js'), 'drill', '--dir', dir, '--json']
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
    const text = { out: '', error: '' }
    for (const name of ['out', 'error'] as const)
      child[name === 'out' ? 'stdout' : 'stderr'].on('data', (data: Buffer) => {
        text[name] += data
      })
    const code = await new Promise<number | null>((done) => child.once('close', done))
    ended = { code, ...text }
  }, 420_000)
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  it('a new person with the root and a copy of the published folder gets every wiki back from volunteers', () => {
    expect(ended.code, ended.error + ended.out).toBe(0)
    const report = JSON.parse(ended.out)
    expect(report.problems).toEqual([])
    expect(report).toMatchObject({ ok: true, wikis: 18, files: 26, restored: 17 })
    expect(report.lost).toEqual([
      'Wikimedia',
      'the Internet Archive',
      'coordinator (coordinator)',
      expect.stringMatching(/^node-1 /),
    ])
  })

  it('every file that came back is the original, byte for byte', () => {
    const runs = readdirSync(DUMPS).flatMap((wiki) =>
      readdirSync(join(DUMPS, wiki)).map((date) => join(wiki, date)),
    )
    expect(runs).toHaveLength(18)
    for (const run of runs) {
      const [wiki = ''] = run.split('/')
      for (const name of readdirSync(join(DUMPS, run))) {
        const came = join(dir, 'person', 'wikis', wiki, run, name)
        expect(readFileSync(came).equals(readFileSync(join(DUMPS, run, name))), came).toBe(true)
      }
    }
  })

  it('what brings a wiki back into MediaWiki stands beside it', () => {
    const wikis = join(dir, 'person', 'wikis')
    const withPages = readdirSync(wikis).filter((wiki) => wiki !== 'metawiki')
    expect(withPages).toHaveLength(17)
    for (const wiki of withPages) {
      for (const name of ['README.md', 'restore.sh', 'sha256sums.txt'])
        expect(statSync(join(wikis, wiki, name)).size, `${wiki}/${name}`).toBeGreaterThan(100)
      expect(readFileSync(join(wikis, wiki, 'README.md'), 'utf8')).toMatch(
        /\d+ pages and \d+ revisions are in the dump\./,
      )
    }
  })

  it('nothing was asked of Wikimedia or the Archive after the fire', () => {
    // The log of the miniature world, in which both live, ends before the person's first command.
    const firstRestored = statSync(join(dir, 'person', 'wikis')).birthtimeMs
    expect(statSync(join(dir, 'world-access.jsonl')).mtimeMs).toBeLessThanOrEqual(firstRestored)
  })
})
