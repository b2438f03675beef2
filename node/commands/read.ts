import { type ArticleResult, readArticle } from '../reading/article.ts'
import { SourceError } from '../reading/byte-source.ts'
import { DumpFormatError } from '../reading/multistream.ts'
import { lastRevision, type Page } from '../reading/pages.ts'
import { readSettings, yesNo } from '../settings.ts'
import type { Command, Terminal } from './command.ts'
import { readRunWords } from './from-publication.ts'
import { type OpenedRun, openRun, RUN_SETTINGS } from './open-run.ts'
import { Progress } from './progress.ts'
import { UserError } from './user-error.ts'

const settings = {
  ...RUN_SETTINGS,
  xml: {
    value: null,
    help: 'print the page as the dump has it, in XML; of content_history its newest revision',
    kind: yesNo,
    default: false,
  },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const read: Command = {
  name: 'read',
  summary: 'one article out of a dump, from a folder or from the swarm, without downloading the dump',
  arguments: '<wiki[@date]> <title...>',
  settings,
  configurable: true,
  examples: [
    "wikiseed read fatwiki 'Cape Coast' --manifest https://example.org/wikiseed/ --root 1.root.json",
    'wikiseed read fatwiki@20240920 Cape_Coast --from ~/.local/share/wikiseed/mirror',
    "wikiseed read fatwiki 'Template:Databox' --from mirror --xml",
    "wikiseed read fatwiki 'Cape Coast' --from mirror --json",
    "wikiseed read fatwiki 'Cape Coast' --dataset content_current --from mirror",
  ],
  async run({ args, flags, env, config }, terminal) {
    const values = readSettings(settings, { flags, env, file: config })
    const [word = '', ...titleWords] = args
    const title = titleWords.join(' ')
    if (title.trim() === '') throw new UserError('a title is needed: wikiseed read fatwiki "Cape Coast"')
    const words = readRunWords(word)
    const progress = new Progress()
    const opened = await openRun(words, values, terminal, progress)
    try {
      const result = await readArticle(opened.run, title, {
        onBytes: (doneBytes, allBytes) =>
          progress.show({ what: `looking for ${JSON.stringify(title)}`, doneBytes, allBytes }),
      })
      progress.end()
      return tell(result, { title, opened, ...values }, terminal)
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

interface Telling {
  readonly title: string
  readonly opened: OpenedRun
  readonly xml: boolean
  readonly json: boolean
}

function tell(result: ArticleResult, { title, opened, xml, json }: Telling, terminal: Terminal): number {
  const { wiki, date } = opened.run
  if (!result.found) {
    const { near } = result
    if (json) terminal.out(JSON.stringify({ found: false, wiki, date, title, near }))
    terminal.note(`wikiseed: ${wiki} of ${date} has no page ${JSON.stringify(title)}`)
    if (near.length > 0) terminal.note(`Near it: ${near.join(', ')}`)
    return 1
  }
  const { page } = result
  if (json) terminal.out(JSON.stringify(describe(page, { wiki, date, bytes: opened.fetchedBytes() })))
  else if (xml) terminal.out(page.xml.replace(/\n$/, ''))
  else {
    const words = lastRevision(page)?.text ?? null
    if (words === null) throw new UserError(`the text of ${page.title} was removed from the dump`)
    terminal.out(words)
  }
  return 0
}

function describe(page: Page, run: { wiki: string; date: string; bytes: number | null }) {
  const revision = lastRevision(page)
  return {
    found: true,
    wiki: run.wiki,
    date: run.date,
    title: page.title,
    pageId: page.id,
    ns: page.ns,
    redirect: page.redirect,
    revisionId: revision?.id ?? null,
    timestamp: revision?.timestamp ?? null,
    model: revision?.model ?? null,
    text: revision?.text ?? null,
    fetchedBytes: run.bytes,
  }
}
