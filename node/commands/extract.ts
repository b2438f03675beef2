import { createWriteStream } from 'node:fs'
import { readFile, rename, rm, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { SourceError } from '../reading/byte-source.ts'
import { membersOf, pageTitles } from '../reading/category.ts'
import { DumpFormatError } from '../reading/multistream.ts'
import {
  IdSelection,
  type Selection,
  type SubsetCounts,
  TitleSelection,
  writeSubset,
} from '../reading/subset.ts'
import type { SiteInfo } from '../reading/titles.ts'
import { orNull, readSettings, text, whole, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { readRunWords } from './from-publication.ts'
import { type OpenedRun, openRun, RUN_SETTINGS } from './open-run.ts'
import { Progress } from './progress.ts'
import { UserError } from './user-error.ts'

const settings = {
  titles: { value: '<file>', help: 'a file with one title a line', kind: orNull(text()), default: null },
  categoryFromSql: {
    value: '<name>',
    help: 'the pages of a category, by the categorylinks table of the run',
    kind: orNull(text()),
    default: null,
  },
  depth: {
    value: '<number>',
    help: 'with --category-from-sql: levels of subcategories to take too, 100 at most',
    kind: whole(0, 100),
    default: 0,
  },
  out: {
    value: '<file>',
    help: 'write there (default: to the standard output)',
    kind: orNull(text()),
    default: null,
  },
  ...RUN_SETTINGS,
  json: {
    value: null,
    help: 'print what was done as one JSON object; needs --out',
    kind: yesNo,
    default: false,
  },
}

const TITLES_BYTES_MAX = 64 * 1024 * 1024
const MISSING_SHOWN = 20

export const extract: Command = {
  name: 'extract',
  summary: 'some pages of a dump as an export of their own, by titles or by category',
  arguments: '<wiki[@date]>',
  settings,
  configurable: true,
  examples: [
    'wikiseed extract fatwiki --titles titles.txt --from mirror > some.xml',
    'wikiseed extract fatwiki@20240920 --category-from-sql Ghana --depth 3 --out ghana.xml --from mirror',
    'wikiseed extract fatwiki --titles titles.txt --out some.xml --json --manifest ./published --root 1.root.json',
    'wikiseed extract fatwiki --dataset content_history --titles titles.txt --from mirror > some.xml',
  ],
  async run({ args, flags, env, config }, terminal) {
    const values = readSettings(settings, { flags, env, file: config })
    const words = readRunWords(args[0] ?? '')
    if ((values.titles === null) === (values.categoryFromSql === null))
      throw new UserError('one of --titles <file> and --category-from-sql <name> is needed')
    if (values.depth > 0 && values.categoryFromSql === null)
      throw new UserError('--depth is of subcategories: it needs --category-from-sql <name>')
    if (values.json && values.out === null)
      throw new UserError('--json needs --out <file>: the pages go to the standard output else')
    if (values.categoryFromSql !== null && values.dataset !== 'dumps')
      throw new UserError('an export has no SQL tables, so no category is known; take --titles <file>')
    const titles = values.titles === null ? null : await readTitles(values.titles)
    const progress = new Progress()
    const opened = await openRun(words, values, terminal, progress)
    try {
      const choosing =
        titles === null ? byCategory(opened, values.categoryFromSql ?? '', values.depth) : byTitles(titles)
      const counts = await writeTo(values.out, (write) =>
        writeSubset(opened.run, {
          select: choosing.select,
          write,
          onStream: (doneBytes, allBytes) => progress.show({ what: 'reading', doneBytes, allBytes }),
        }),
      )
      progress.end()
      const missing = await choosing.missing()
      const { wiki, date } = opened.run
      if (values.json) {
        const fetchedBytes = opened.fetchedBytes()
        terminal.out(
          JSON.stringify({ wiki, date, ...counts, out: resolve(values.out ?? ''), missing, fetchedBytes }),
        )
      } else {
        terminal.note(`${counts.pages} pages of ${wiki} of ${date}, out of ${counts.streams} streams.`)
        for (const title of missing.slice(0, MISSING_SHOWN)) terminal.note(`not there: ${title}`)
        if (missing.length > MISSING_SHOWN) terminal.note(`... and ${missing.length - MISSING_SHOWN} more`)
      }
      return missing.length === 0 ? 0 : 1
    } catch (error) {
      if (error instanceof SourceError || error instanceof DumpFormatError)
        throw new UserError(error.message, { cause: error })
      throw error
    } finally {
      progress.end()
      await opened.close()
    }
  },
}

interface Choosing {
  readonly select: (site: SiteInfo) => Promise<Selection>
  /** What was asked for and is not there, in words. */
  readonly missing: () => Promise<string[]>
}

function byTitles(titles: readonly string[]): Choosing {
  let selection: TitleSelection | null = null
  return {
    select: async (site) => {
      selection = new TitleSelection(titles, site)
      return selection
    },
    missing: async () => selection?.missing() ?? [],
  }
}

function byCategory({ run }: OpenedRun, category: string, depth: number): Choosing {
  let selection: IdSelection | null = null
  let known: SiteInfo | null = null
  return {
    select: async (site) => {
      const members = await membersOf(run, category, site, { depth })
      if (members.size === 0)
        throw new UserError(`no page of ${run.wiki} of ${run.date} is in the category ${category}`)
      known = site
      selection = new IdSelection(members)
      return selection
    },
    missing: async () => {
      const ids = selection?.missing() ?? new Set<number>()
      const titles = known === null ? new Map<number, string>() : await pageTitles(run, ids, known)
      return [...ids].map((id) => titles.get(id) ?? `page ${id}`)
    },
  }
}

async function readTitles(path: string): Promise<string[]> {
  const facts = await stat(path).catch((error: unknown) => {
    throw new UserError(`the file of titles ${path} cannot be read`, { cause: error })
  })
  if (facts.size > TITLES_BYTES_MAX) throw new UserError(`${path} is too large for a file of titles`)
  const lines = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '').split(/\r?\n/)
  const titles = [...new Set(lines.map((line) => line.trim()).filter((line) => line !== ''))]
  if (titles.length === 0) throw new UserError(`${path} holds no titles`)
  return titles
}

/** A file gets its name when it is whole. */
async function writeTo(
  out: string | null,
  work: (write: (xml: string | Uint8Array) => Promise<void>) => Promise<SubsetCounts>,
): Promise<SubsetCounts> {
  if (out === null) return work((xml) => writeAll(process.stdout, xml))
  const part = `${out}.part`
  const stream = createWriteStream(part)
  const failed = new Promise<never>((_resolve, reject) => stream.once('error', reject))
  failed.catch(() => {})
  try {
    const counts = await Promise.race([work((xml) => writeAll(stream, xml)), failed])
    await Promise.race([new Promise<void>((done) => stream.end(done)), failed])
    await rename(part, out)
    return counts
  } catch (error) {
    stream.destroy()
    await rm(part, { force: true })
    throw error
  }
}

function writeAll(stream: Writable, xml: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(xml, (error) => (error === null || error === undefined ? resolve() : reject(error)))
  })
}
