import { fileNameOf } from '../../protocol/shard/paths.ts'
import { type ArticleResult, readArticle } from '../reading/article.ts'
import { type RunSource, SourceError } from '../reading/byte-source.ts'
import { localRunDates, openLocalRun } from '../reading/local-source.ts'
import { DumpFormatError, multistreamsOf } from '../reading/multistream.ts'
import { lastRevision, type Page } from '../reading/pages.ts'
import { openSwarmRun } from '../reading/swarm-run.ts'
import { orNull, readSettings, text, yesNo } from '../settings.ts'
import type { Command, Terminal } from './command.ts'
import {
  chooseRun,
  openFrom,
  PUBLICATION_SETTINGS,
  type PublicationValues,
  type RunWords,
  readRunWords,
  startFetcher,
  swarmShard,
} from './from-publication.ts'
import { UserError } from './user-error.ts'

const settings = {
  from: {
    value: '<dir>',
    help: 'read from a folder laid out WIKI/DATE/FILE instead of the swarm',
    kind: orNull(text()),
    default: null,
  },
  ...PUBLICATION_SETTINGS,
  xml: { value: null, help: 'print the page as the dump has it, in XML', kind: yesNo, default: false },
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
  ],
  async run({ args, flags, env, config }, terminal) {
    const values = readSettings(settings, { flags, env, file: config })
    const [word = '', ...titleWords] = args
    const title = titleWords.join(' ')
    if (title.trim() === '') throw new UserError('a title is needed: wikiseed read fatwiki "Cape Coast"')
    const words = readRunWords(word)
    const opened =
      values.from === null ? await fromSwarm(words, values) : await fromFolder(words, values.from)
    try {
      const result = await readArticle(opened.run, title)
      return tell(result, { title, opened, ...values }, terminal)
    } catch (error) {
      if (error instanceof SourceError || error instanceof DumpFormatError)
        throw new UserError(error.message, { cause: error })
      throw error
    } finally {
      await opened.close()
    }
  },
}

interface Opened {
  readonly run: RunSource
  readonly fetchedBytes: () => number | null
  close(): Promise<void>
}

async function fromFolder({ wiki, date }: RunWords, root: string): Promise<Opened> {
  const dates = date === null ? await localRunDates(root, wiki) : [date]
  let first: RunSource | null = null
  for (const one of dates) {
    const run = await openLocalRun(root, wiki, one)
    first ??= run
    if (multistreamsOf(run.files).length > 0) return local(run)
  }
  if (first === null)
    throw new UserError(`${root} holds no run of ${wiki}; it should be laid out WIKI/DATE/FILE`)
  return local(first)
}

const local = (run: RunSource): Opened => ({ run, fetchedBytes: () => null, close: () => run.close() })

async function fromSwarm(words: RunWords, values: PublicationValues): Promise<Opened> {
  const publication = await openFrom(values)
  const files = (shards: readonly { files: readonly { path: string; size: number }[] }[]) =>
    shards.flatMap((one) => one.files.map(({ path, size }) => ({ name: fileNameOf(path), sizeBytes: size })))
  const suits = (run: { shards: Parameters<typeof files>[0] }) => multistreamsOf(files(run.shards)).length > 0
  const { wiki, date, shards } = chooseRun(publication, words, 'dumps', suits)
  const swarm = shards.map((shard) => swarmShard(publication, shard, values.peer))
  if (swarm.every((shard) => shard.peers.length === 0))
    throw new UserError(
      `the manifest names no peer that has ${wiki} of ${date}; give one with --peer HOST:PORT`,
    )
  const engine = await startFetcher()
  const run = openSwarmRun(engine, { wiki, date, shards: swarm }, { patienceMs: values.patience })
  return { run, fetchedBytes: () => run.downloadedBytes, close: () => engine.stop() }
}

interface Telling {
  readonly title: string
  readonly opened: Opened
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
