// Which dump job made a file, told from its name (operations-dumps: dumps/dumpitemlist.py, dumps/fileutils.py).

export type DumpName = {
  wiki: string
  date: string
  /** What follows `<wiki>-<date>-`. */
  rest: string
}

/** `<db>-<YYYYMMDD>-<rest>`; database names have underscores and no hyphens. */
export function parseDumpName(name: string): DumpName | undefined {
  const match = /^([a-z0-9_]+)-(\d{8})-(.+)$/.exec(name)
  if (!match) return undefined
  const [, wiki = '', date = '', rest = ''] = match
  return { wiki, date, rest }
}

const workingSuffixes = ['.inprog', '.truncated', '.empty', '-tmp']

export function isWorkingFile(name: string): boolean {
  return workingSuffixes.some((suffix) => name.endsWith(suffix))
}

/** Jobs whose output comes in numbered parts on big wikis, with a second job that joins the parts. */
const partedOutputs: { job: string; pattern: RegExp }[] = [
  { job: 'xmlstubsdump', pattern: /^stub-(?:articles|meta-current|meta-history)(\d*)\.xml\.gz$/ },
  { job: 'articlesdump', pattern: /^pages-articles(\d*)\.xml(?:-p\d+p\d+)?\.bz2$/ },
  { job: 'metacurrentdump', pattern: /^pages-meta-current(\d*)\.xml(?:-p\d+p\d+)?\.bz2$/ },
  { job: 'xmlpagelogsdump', pattern: /^pages-logging(\d*)\.xml\.gz$/ },
  { job: 'metahistorybz2dump', pattern: /^pages-meta-history(\d*)\.xml(?:-p\d+p\d+)?\.bz2$/ },
  { job: 'metahistory7zdump', pattern: /^pages-meta-history(\d*)\.xml(?:-p\d+p\d+)?\.7z$/ },
  { job: 'articlesmultistreamdump', pattern: /^pages-articles-multistream(\d*)\.xml(?:-p\d+p\d+)?\.bz2$/ },
  {
    job: 'articlesmultistreamdump',
    pattern: /^pages-articles-multistream-index(\d*)\.txt(?:-p\d+p\d+)?\.bz2$/,
  },
  { job: 'abstractsdump', pattern: /^abstract(\d*)\.xml(?:\.gz)?$/ },
]

const singleOutputs: { job: string; pattern: RegExp }[] = [
  { job: 'namespaces', pattern: /^siteinfo-namespaces\.json(?:\.gz)?$/ },
  { job: 'namespacesv2', pattern: /^siteinfo2-namespacesv2\.json(?:\.gz)?$/ },
  { job: 'pagetitlesdump', pattern: /^all-titles-in-ns0\.gz$/ },
  { job: 'allpagetitlesdump', pattern: /^all-titles\.gz$/ },
  { job: 'xmlflowdump', pattern: /^flow\.xml\.bz2$/ },
  { job: 'xmlflowhistorydump', pattern: /^flowhistory\.xml\.bz2$/ },
]

/** Tables whose job is not just the table's name without underscores. */
const tableAliases: Record<string, string> = { change_tag: 'changetags' }

/** The order in which a run does its jobs; tables come first, in alphabetical order. */
const jobOrder = [
  'xmlstubsdump',
  'xmlstubsdumprecombine',
  'articlesdump',
  'articlesdumprecombine',
  'articlesmultistreamdump',
  'articlesmultistreamdumprecombine',
  'metacurrentdump',
  'metacurrentdumprecombine',
  'namespaces',
  'namespacesv2',
  'pagetitlesdump',
  'allpagetitlesdump',
  'abstractsdump',
  'abstractsdumprecombine',
  'xmlpagelogsdump',
  'xmlpagelogsdumprecombine',
  'xmlflowdump',
  'xmlflowhistorydump',
  'metahistorybz2dump',
  'metahistorybz2dumprecombine',
  'metahistory7zdump',
  'metahistory7zdumprecombine',
]

export type Job = { name: string; files: string[] }

/** Sorts the files of one run into jobs. A file that no job makes is left out. */
export function jobsOf(files: readonly string[]): Job[] {
  const rests = files.map((file) => ({ file, rest: parseDumpName(file)?.rest }))
  const hasParts = new Set<string>()
  for (const { rest } of rests) {
    const output = rest === undefined ? undefined : partedOutput(rest)
    if (output?.part) hasParts.add(output.job)
  }
  const jobs = new Map<string, string[]>()
  for (const { file, rest } of rests) {
    if (rest === undefined || isWorkingFile(file)) continue
    const name = jobOf(rest, hasParts)
    if (name !== undefined) jobs.set(name, [...(jobs.get(name) ?? []), file])
  }
  return [...jobs]
    .map(([name, own]) => ({ name, files: own.sort() }))
    .sort((a, b) => compareJobs(a.name, b.name))
}

function jobOf(rest: string, hasParts: ReadonlySet<string>): string | undefined {
  const table = /^([a-z0-9_]+)\.sql\.gz$/.exec(rest)?.[1]
  if (table !== undefined) return `${tableAliases[table] ?? table.replaceAll('_', '')}table`
  const parted = partedOutput(rest)
  if (parted) return hasParts.has(parted.job) && !parted.part ? `${parted.job}recombine` : parted.job
  return singleOutputs.find(({ pattern }) => pattern.test(rest))?.job
}

function partedOutput(rest: string): { job: string; part: boolean } | undefined {
  for (const { job, pattern } of partedOutputs) {
    const match = pattern.exec(rest)
    if (match) return { job, part: match[1] !== '' || /-p\d+p\d+\./.test(rest) }
  }
  return undefined
}

export function compareJobs(a: string, b: string): number {
  const rankA = jobOrder.indexOf(a)
  const rankB = jobOrder.indexOf(b)
  if (rankA !== rankB) return rankA - rankB
  return a < b ? -1 : a > b ? 1 : 0
}
