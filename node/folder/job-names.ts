/**
 * Which dump job made a file, told from its name, for a folder without upstream's status (operations-dumps,
 * dumps/dumpitemlist.py). `<db>-<date>-` is cut off: `pages-articles.xml.bz2` -> `articlesdump`.
 */

/** Jobs of XML that big wikis make in numbered parts, and then put together in a job of its own. */
const IN_PARTS: readonly (readonly [job: string, start: string, ending: string])[] = [
  ['xmlstubsdump', 'stub-(?:articles|meta-current|meta-history)', 'xml\\.gz'],
  ['articlesmultistreamdump', 'pages-articles-multistream', 'xml\\.bz2'],
  ['articlesmultistreamdump', 'pages-articles-multistream-index', 'txt\\.bz2'],
  ['articlesdump', 'pages-articles', 'xml\\.bz2'],
  ['metacurrentdump', 'pages-meta-current', 'xml\\.bz2'],
  ['metahistorybz2dump', 'pages-meta-history', 'xml\\.bz2'],
  ['metahistory7zdump', 'pages-meta-history', 'xml\\.7z'],
  ['xmlpagelogsdump', 'pages-logging', 'xml\\.gz'],
  ['abstractsdump', 'abstract', 'xml(?:\\.gz)?'],
]

const WHOLE: Readonly<Record<string, string>> = {
  'siteinfo-namespaces.json': 'namespaces',
  'siteinfo-namespaces.json.gz': 'namespaces',
  'siteinfo2-namespacesv2.json': 'namespacesv2',
  'siteinfo2-namespacesv2.json.gz': 'namespacesv2',
  'all-titles-in-ns0.gz': 'pagetitlesdump',
  'all-titles.gz': 'allpagetitlesdump',
  'flow.xml.bz2': 'xmlflowdump',
  'flowhistory.xml.bz2': 'xmlflowhistorydump',
}

/** Tables whose job is not named after them. */
const TABLES: Readonly<Record<string, string>> = { change_tag: 'changetags' }

/** Job -> names of its files, by the rests of their names; names that no job makes are left out. */
export function jobsByName(rests: ReadonlyMap<string, string>): Map<string, string[]> {
  const made = [...rests].map(([name, rest]) => ({ name, rest, xml: xmlJob(rest) }))
  const parted = new Set(made.flatMap(({ xml }) => (xml?.isPart === true ? [xml.job] : [])))
  const jobs = new Map<string, string[]>()
  for (const { name, rest, xml } of made) {
    const job =
      xml === null ? plainJob(rest) : parted.has(xml.job) && !xml.isPart ? `${xml.job}recombine` : xml.job
    if (job !== null) jobs.set(job, [...(jobs.get(job) ?? []), name])
  }
  return jobs
}

function plainJob(rest: string): string | null {
  const table = /^([a-z0-9_]+)\.sql\.gz$/.exec(rest)?.[1]
  if (table !== undefined) return `${TABLES[table] ?? table.replaceAll('_', '')}table`
  return Object.hasOwn(WHOLE, rest) ? (WHOLE[rest] ?? null) : null
}

/** Parts have a number behind the start, and pages from-to behind the form: `pages-articles1.xml-p1p41242.bz2`. */
function xmlJob(rest: string): { job: string; isPart: boolean } | null {
  for (const [job, start, ending] of IN_PARTS) {
    const [form = '', packed = ''] = splitEnding(ending)
    const match = new RegExp(`^${start}(\\d*)\\.${form}(-p\\d+p\\d+)?${packed}$`).exec(rest)
    if (match !== null) return { job, isPart: match[1] !== '' || match[2] !== undefined }
  }
  return null
}

function splitEnding(ending: string): [form: string, packed: string] {
  const form = ending.slice(0, 3)
  return [form, ending.slice(3)]
}
