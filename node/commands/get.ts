import { join, resolve } from 'node:path'
import { cycleOfBundle } from '../../protocol/torrent/bundle.ts'
import { writeFileAtomic } from '../files/durable.ts'
import { metalinkName, metalinkOf } from '../publication/metalink.ts'
import type { Publication } from '../publication/open.ts'
import type { PublishedRun } from '../publication/runs.ts'
import { list, readSettings, text, type Values, yesNo } from '../settings.ts'
import type { Command, Terminal } from './command.ts'
import { chooseBundle, chooseRun, DATASET_SETTING, openFrom, readRunWords } from './from-publication.ts'
import { GET_SETTINGS, type GetValues, getWanted, missingOf, tellGot, wantedFiles } from './getting.ts'
import { UserError } from './user-error.ts'

const settings = {
  ...GET_SETTINGS,
  dataset: DATASET_SETTING,
  files: {
    value: '<pattern>',
    help: 'only files whose names match, such as *.sql.gz (default: all)',
    kind: list(text()),
    default: [],
    repeat: true,
  },
  to: { value: '<dir>', help: 'the folder to put WIKI/DATE/FILE in', kind: text(), default: '.' },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const get: Command = {
  name: 'get',
  summary:
    'the files of a dump from a published manifest, verified: from the swarm, the Internet Archive or a mirror',
  arguments: '<wiki[@date]|bundle>',
  settings,
  configurable: true,
  examples: [
    'wikiseed get fatwiki --manifest https://example.org/wikiseed/ --root 1.root.json',
    "wikiseed get fatwiki@20240920 --files '*.sql.gz' --to dumps --manifest ./published --root 1.root.json",
    'wikiseed get wikiseed-2026-01 --to dumps --manifest https://example.org/wikiseed/ --root 1.root.json',
    'wikiseed get fatwiki --contact you@example.org --mirror https://dumps.wikimedia.org/ --manifest ...',
    'wikiseed get fatwiki --peer 192.0.2.7:6881 --json --manifest ./published --root 1.root.json',
  ],
  async run({ args, flags, env, config }, terminal) {
    const values = readSettings(settings, { flags, env, file: config })
    const word = args[0] ?? ''
    if (cycleOfBundle(word) !== null) return getBundle(word, values, terminal)
    const words = readRunWords(word)
    const publication = await openFrom(values, terminal)
    const run = chooseRun(publication, words, values.dataset)
    const wanted = wantedFiles(run.shards, values.files)
    if (wanted.length === 0)
      throw new UserError(`no file of ${run.wiki} of ${run.date} matches ${values.files.join(' or ')}`)
    const to = resolve(values.to)
    const got = await getWanted(publication, wanted, to, values)
    const beside = await writeBeside(publication, run, to, values)
    const missing = missingOf(got)
    if (values.json) {
      const { wiki, date, dataset } = run
      const ok = missing.length === 0
      terminal.out(
        JSON.stringify({ ok, wiki, date, dataset, to, checkedBy: publication.checkedBy, files: got, beside }),
      )
    } else {
      tellGot(got, values, terminal)
      if (missing.length === 0)
        terminal.out(
          `${run.wiki} of ${run.date} is in ${join(to, run.shards[0]?.name ?? '')}, every digest as published.`,
        )
    }
    return missing.length === 0 ? 0 : 1
  },
}

/** Every dump of a bundle, in a folder of its name that any BitTorrent client can go on seeding with. */
async function getBundle(name: string, values: Values<typeof settings>, terminal: Terminal): Promise<number> {
  const publication = await openFrom(values, terminal)
  const { bundle, shards } = chooseBundle(publication, name)
  const wanted = wantedFiles(shards, values.files)
  if (wanted.length === 0) throw new UserError(`no file of ${name} matches ${values.files.join(' or ')}`)
  const to = resolve(values.to)
  const folder = join(to, name)
  const got = await getWanted(publication, wanted, folder, values, bundle)
  const torrent = await publication.torrent(bundle)
  const beside = torrent === null ? [] : [`${folder}.torrent`]
  if (torrent !== null) await writeFileAtomic(`${folder}.torrent`, torrent)
  const missing = missingOf(got)
  const ok = missing.length === 0
  if (values.json) {
    const { checkedBy } = publication
    terminal.out(JSON.stringify({ ok, bundle: name, to, checkedBy, files: got, beside }))
  } else {
    tellGot(got, values, terminal)
    if (ok) terminal.out(`${shards.length} dumps are in ${folder}, every digest as published.`)
  }
  return ok ? 0 : 1
}

/** The torrents and the Metalink of the run, so that other programs can go on with the folder. Their paths. */
async function writeBeside(
  publication: Publication,
  run: PublishedRun,
  to: string,
  values: GetValues,
): Promise<string[]> {
  const written: string[] = []
  const write = async (name: string, bytes: Uint8Array) => {
    await writeFileAtomic(join(to, name), bytes)
    written.push(join(to, name))
  }
  const [first] = run.shards
  if (first === undefined) return written
  const base = metalinkName(first).replace(/\.meta4$/, '')
  for (const [index, shard] of run.shards.entries()) {
    const torrent = await publication.torrent(shard)
    const part = run.shards.length > 1 ? `-part${index + 1}` : ''
    if (torrent !== null) await write(`${base}${part}.torrent`, torrent)
  }
  const publicUrl = publication.baseUrl.startsWith('http') ? publication.baseUrl : null
  const { archiveSite, mirror } = values
  const metalink = metalinkOf(run.shards, { publicUrl, archiveSite, mirrors: mirror })
  await write(`${base}.meta4`, Buffer.from(metalink))
  return written
}
