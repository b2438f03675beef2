/** Real dumps are judged rightly: those of the repository, and more where they lie beside it (../shared). */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findingOf } from '../support/structure.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const OWN = join(ROOT, 'test', 'fixtures', 'dumps')
const SHARED = join(ROOT, '..', 'shared', 'fixtures')

/** Everything else is whole. */
const BROKEN: Readonly<Record<string, { offsetBytes: number; detail: RegExp }>> = {
  // Another project wrote it anew in UTF-16, which upstream never does.
  'bgwiki-latest-pages-articles-shortened.xml.bz2': { offsetBytes: 0, detail: /does not begin as XML/ },
  // Renamed: they are of the Latgalian Wikipedia, one with another siteinfo.
  'smallwiki-latest-pages-articles.xml.bz2': { offsetBytes: 0, detail: /siteinfo names ltgwiki/ },
  'tinywiki-latest-pages-articles.xml': { offsetBytes: 0, detail: /siteinfo names tmp-wp/ },
  // Shortened to a few rows, without mysqldump's last line.
  'rmwiki-20240301-page.sql.gz': { offsetBytes: 928, detail: /Dump completed/ },
}

function filesBelow(folder: string): { name: string; path: string }[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => ({ name: entry.name, path: join(entry.parentPath, entry.name) }))
}

async function misjudged(files: readonly { name: string; path: string }[]): Promise<unknown[]> {
  const out: unknown[] = []
  for (const { name, path } of files) {
    const finding = await findingOf(name, readFileSync(path))
    const broken = BROKEN[name]
    const right =
      broken === undefined
        ? finding.state === 'ok'
        : finding.state === 'bad' &&
          finding.offsetBytes === broken.offsetBytes &&
          broken.detail.test(finding.detail)
    if (!right) out.push([path, finding])
  }
  return out
}

describe('real dumps', () => {
  it('of the repository are whole, and those of one wiki name it', async () => {
    const files = filesBelow(OWN)
    expect(files.length).toBeGreaterThan(20)
    expect(await misjudged(files)).toEqual([])
    for (const { name, path } of files.filter(({ name }) => name.includes('.xml.'))) {
      expect(await findingOf(name, readFileSync(path))).toMatchObject({
        content: 'xml',
        wiki: name.split('-')[0],
      })
    }
  })

  // More of the same, where they are: their licences keep them out of the repository. A clone alone has nothing to skip.
  if (!existsSync(SHARED)) console.log(`not looked at: ${SHARED} is not here`)
  it.each(existsSync(SHARED) ? ['dumps', 'minidumps'] : [])(
    'of %s beside the repository are whole, but for those that others changed',
    async (folder) => {
      const files = filesBelow(join(SHARED, folder))
      expect(files.length).toBeGreaterThan(40)
      expect(await misjudged(files)).toEqual([])
    },
    60_000,
  )

  it('are foreign to a wiki that is not theirs', async () => {
    const [file] = filesBelow(join(OWN, 'afwiki'))
    const finding = await findingOf('nlwiki-20260101-pages-articles.xml.bz2', readFileSync(file?.path ?? ''))
    expect(finding).toEqual({
      state: 'bad',
      offsetBytes: 0,
      detail: 'its siteinfo names afwiki, its own name nlwiki',
    })
  })
})
