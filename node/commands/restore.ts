import { join, resolve } from 'node:path'
import { parseContentExportName } from '../../protocol/dump/content-export.ts'
import { fileNameOf, runFolder, torrentName } from '../../protocol/shard/paths.ts'
import { writeFileAtomic } from '../files/durable.ts'
import { safeJoin } from '../files/layout.ts'
import type { GotFile } from '../getting/get-files.ts'
import { isMetadata } from '../publication/paths.ts'
import type { PublishedRun } from '../publication/runs.ts'
import { type RunSource, SourceError } from '../reading/byte-source.ts'
import { openLocalRun } from '../reading/local-source.ts'
import { DumpFormatError } from '../reading/multistream.ts'
import { readSiteInfo } from '../reading/titles.ts'
import { type Comparison, compareCounts, readSiteStats } from '../restoring/compare.ts'
import { countDump, type DumpCounts } from '../restoring/count.ts'
import { type Guide, readmeText } from '../restoring/guide.ts'
import { filesOf, planRestore, type RestorePlan } from '../restoring/plan.ts'
import { restoreScript, wikiScript } from '../restoring/script.ts'
import { settingsText } from '../restoring/wiki-settings.ts'
import { readSettings, text, yesNo } from '../settings.ts'
import type { Command } from './command.ts'
import { chooseRun, DATASET_SETTING, openFrom, readRunWords } from './from-publication.ts'
import { GET_SETTINGS, getWanted, missingOf, tellGot, wantedFiles } from './getting.ts'
import { Progress } from './progress.ts'
import { UserError } from './user-error.ts'

const settings = {
  ...GET_SETTINGS,
  dataset: DATASET_SETTING,
  to: { value: '<dir>', help: 'the folder to fill', kind: text() },
  json: { value: null, help: 'print one JSON object', kind: yesNo, default: false },
}

export const restore: Command = {
  name: 'restore',
  summary: 'everything that brings a wiki back, verified, with the steps for MediaWiki',
  arguments: '<wiki[@date]>',
  settings,
  configurable: true,
  examples: [
    'wikiseed restore fatwiki --to fatwiki-again --manifest https://example.org/wikiseed/ --root 1.root.json',
    'wikiseed restore fatwiki@20240920 --to again --manifest ./published --root 1.root.json --allow-expired',
    'wikiseed restore fatwiki --dataset content_history --to again --manifest ./published --root 1.root.json',
    'wikiseed restore fatwiki --to again --contact you@example.org --json --manifest ./published --root 1.root.json',
  ],
  async run({ args, flags, env, config }, terminal) {
    const values = readSettings(settings, { flags, env, file: config })
    const words = readRunWords(args[0] ?? '')
    const publication = await openFrom(values, terminal)
    const { dataset } = values
    const run = chooseRun(publication, words, dataset, (one) => planRestore(namesOf(one), dataset) !== null)
    const plan = planRestore(namesOf(run), dataset)
    if (plan === null)
      throw new UserError(
        `${run.wiki} of ${run.date} has no ${dataset === 'dumps' ? 'dump' : 'export'} of pages, so it brings no wiki back; try another date`,
      )
    const to = resolve(values.to)
    const needed = new Set(filesOf(plan))
    // HASH.json and its neighbours come along: the folder can then be verified and seeded without anybody else.
    const wanted = wantedFiles(run.shards, []).filter(
      ({ file }) => isMetadata(file) || needed.has(fileNameOf(file.path)),
    )
    const got = await getWanted(publication, wanted, to, values)
    const missing = missingOf(got)
    if (!values.json) tellGot(got, values, terminal)
    if (missing.length > 0) {
      if (values.json)
        terminal.out(JSON.stringify({ ok: false, dataset, wiki: run.wiki, date: run.date, to, files: got }))
      return 1
    }
    const checked = await check(run, plan, to)
    const guide: Guide = {
      dataset,
      wiki: run.wiki,
      date: run.date,
      folder: `${torrentName(run)}/${runFolder(run)}`,
      plan,
      ...checked,
    }
    for (const [name, text] of [
      ['sha256sums.txt', sumsOf(got)],
      ['README.md', readmeText(guide)],
      ['settings.php', settingsText(guide.wiki, guide.site, guide.content)],
      ['wikiseed.php', wikiScript(guide)],
      ['restore.sh', restoreScript(guide)],
    ] as const)
      await writeFileAtomic(join(to, name), Buffer.from(text))
    const ok = checked.comparisons.every((one) => one.fits)
    if (values.json) {
      const { counts, comparisons } = checked
      const { wiki, date } = run
      terminal.out(
        JSON.stringify({ ok, dataset, wiki, date, to, kind: plan.kind, counts, comparisons, files: got }),
      )
    } else {
      for (const line of readmeText(guide).split('## Counted\n\n')[1]?.trim().split('\n') ?? [])
        terminal.out(line)
      terminal.out(`${join(to, 'README.md')} says how to go on; ${join(to, 'restore.sh')} does it.`)
    }
    return ok ? 0 : 1
  },
}

const namesOf = (run: PublishedRun): string[] =>
  run.shards.flatMap((shard) =>
    shard.files.filter((file) => !isMetadata(file)).map((file) => fileNameOf(file.path)),
  )

/** Counts what was fetched, and holds it to what the wiki said of itself. */
async function check(run: PublishedRun, plan: RestorePlan, to: string) {
  const progress = new Progress()
  try {
    const local = await openLocalRun(to, run.wiki, run.date, run.dataset)
    const all = await countAll(local, plan, to, progress)
    const stats = await readSiteStats(local)
    const comparisons: Comparison[] = stats === null ? [] : compareCounts(plan.kind, all, stats)
    const { pages, revisions, header, models, roles } = all
    return {
      counts: { pages, revisions },
      comparisons,
      site: readSiteInfo(header),
      content: { models, roles },
    }
  } catch (error) {
    if (error instanceof SourceError || error instanceof DumpFormatError)
      throw new UserError(`the digests are right, but ${error.message}`, { cause: error })
    throw error
  } finally {
    progress.end()
  }
}

async function countAll(
  local: RunSource,
  plan: RestorePlan,
  to: string,
  progress: Progress,
): Promise<DumpCounts> {
  const sizes = new Map(local.files.map((file) => [file.name, file.sizeBytes]))
  const allBytes = plan.content.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
  let doneBytes = 0
  const sum = { pages: 0, revisions: 0, header: '' }
  let splitPage: number | null = null
  const models = new Set<string>()
  const roles = new Set<string>()
  for (const name of plan.content) {
    const source = await local.open(name)
    try {
      const path = safeJoin(to, `${torrentName(local)}/${runFolder(local)}/${name}`)
      const counts = await countDump(name, path, source, {
        onBytes: (count) => {
          doneBytes += count
          progress.show({ what: `counting ${name}`, doneBytes, allBytes })
        },
      })
      // The history of one page may fill several files of an export, each with an element of that page alone.
      const part = parseContentExportName(name)
      const isPart = part !== null && part.revisions !== null
      if (!isPart || part.firstPage !== splitPage) sum.pages += counts.pages
      splitPage = isPart ? part.firstPage : null
      sum.revisions += counts.revisions
      for (const model of counts.models) models.add(model)
      for (const role of counts.roles) roles.add(role)
      if (sum.header === '') sum.header = counts.header
    } finally {
      await source.close()
    }
  }
  return { ...sum, models: [...models].sort(), roles: [...roles].sort() }
}

/** In the form of sha256sum(1), relative to the folder. */
function sumsOf(got: readonly GotFile[]): string {
  return got
    .filter((one) => one.state !== 'missing')
    .map((one) => `${one.sha256}  ${one.path}\n`)
    .join('')
}
