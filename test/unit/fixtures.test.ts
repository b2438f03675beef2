import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const fixtures = join(import.meta.dirname, '..', 'fixtures')
const bytesMax = 8 * 1024 * 1024

/** Paths of the dump files, as `dumps/<wiki>/<date>/<file>`. */
const paths = readdirSync(join(fixtures, 'dumps'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(fixtures.length + 1))
  .sort()

/** `path | bytes | sha256` of each row of SOURCES.md. */
const rows = readFileSync(join(fixtures, 'SOURCES.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| dumps/'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, path, bytes, sha256]) => `${path} | ${bytes} | ${sha256?.replaceAll('`', '')}`)
  .sort()

/** Reads every dump to its end, and prints one line for each that is not whole or names another wiki. */
const readWhole = `
import bz2, gzip, sys, xml.etree.ElementTree as ElementTree
for path in sys.argv[1:]:
    opener = bz2.open if path.endswith('.bz2') else gzip.open if path.endswith('.gz') else None
    if opener is None:
        continue
    data = opener(path).read()
    if '.xml.' in path:
        root = ElementTree.fromstring(data)
        space = root.tag.removesuffix('mediawiki')
        dbname = root.findtext(space + 'siteinfo/' + space + 'dbname')
        if dbname != path.split('/')[-3] or not data.rstrip().endswith(b'</mediawiki>'):
            print(path, dbname)
    if path.endswith('-index.txt.bz2'):
        streams = open(path.replace('-index.txt.bz2', '.xml.bz2'), 'rb').read()
        for line in data.decode().splitlines():
            offset, page, title = line.split(':', 2)
            if streams[int(offset):int(offset) + 4] != b'BZh9':
                print(path, line)
`

describe('the dumps under test/fixtures', () => {
  it('each have one row of SOURCES.md with their size and sha256, and no row lacks its file', () => {
    const found = paths.map((path) => {
      const data = readFileSync(join(fixtures, path))
      return `${path} | ${data.length} | ${createHash('sha256').update(data).digest('hex')}`
    })
    expect(found).toEqual(rows)
  })

  it('are named <wiki>/<date>/<wiki>-<date>-...', () => {
    const named = /^dumps\/([a-z_]+)\/(\d{8})\/\1-\2-[a-z0-9-]+\.(?:xml|sql|txt)\.(?:bz2|gz|7z)$/
    expect(paths.filter((path) => !named.test(path))).toEqual([])
  })

  it('come from at least 12 wikis and stay below 8 MB', () => {
    expect(new Set(paths.map((path) => path.split('/')[1])).size).toBeGreaterThanOrEqual(12)
    const bytes = paths.reduce((sum, path) => sum + readFileSync(join(fixtures, path)).length, 0)
    expect(bytes).toBeLessThan(bytesMax)
  })

  it('are whole, name their own wiki, and their multistream indexes point at streams', () => {
    const files = paths.map((path) => join(fixtures, path))
    expect(execFileSync('python3', ['-c', readWhole, ...files], { encoding: 'utf8', timeout: 60_000 })).toBe(
      '',
    )
  })
})
