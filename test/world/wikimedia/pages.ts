// The HTML that dumps.wikimedia.org shows: nginx's pages and listings, and the monitor's backup index.
import { type DumpStatus, newestUpdated } from './status.ts'

export function nginxPage(title: string): string {
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n` +
    '<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n'
  )
}

export const robotPolicyPage =
  '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Wikimedia Error</title>\n' +
  '<h1>Error</h1>\n<p>Please set a user-agent with contact information (URL or e-mail) and respect our robot policy ' +
  '<a href="https://wikitech.wikimedia.org/wiki/Robot_policy">https://wikitech.wikimedia.org/wiki/Robot_policy</a>. ' +
  'See also <a href="https://phabricator.wikimedia.org/T400119">T400119</a>.</p>\n</html>\n'

export type ListingRow = { name: string; folder: boolean; mtimeMs: number; sizeBytes: number }

/** nginx autoindex: names over 50 characters are cut in the text, never in the link. */
export function listingPage(path: string, rows: readonly ListingRow[]): string {
  const title = `Index of ${escapeHtml(path)}`
  const lines = rows.map((row) => {
    const shown = row.folder ? `${row.name}/` : row.name
    const text = shown.length > 50 ? `${escapeHtml(shown.slice(0, 47))}..&gt;` : escapeHtml(shown)
    const pad = ' '.repeat(Math.max(1, 51 - Math.min(shown.length, 50)))
    const size = (row.folder ? '-' : String(row.sizeBytes)).padStart(20)
    const href = encodeURIComponent(row.name) + (row.folder ? '/' : '')
    return `<a href="${href}">${text}</a>${pad}${listingTime(row.mtimeMs)}${size}\n`
  })
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<h1>${title}</h1><hr><pre><a href="../">../</a>\n` +
    `${lines.join('')}</pre><hr></body>\r\n</html>\r\n`
  )
}

export type IndexRow = { wiki: string; date: string; status: DumpStatus }

/** `/backup-index.html`, newest first, or `/backup-index-bydb.html`, by name. */
export function backupIndexPage(rows: readonly IndexRow[], order: 'recency' | 'name'): string {
  const shown = rows.map((row) => ({ ...row, updated: newestUpdated(row.status), busy: isBusy(row.status) }))
  shown.sort((a, b) => {
    if (order === 'name') return a.wiki < b.wiki ? -1 : 1
    return a.updated === b.updated ? (a.wiki < b.wiki ? -1 : 1) : a.updated < b.updated ? 1 : -1
  })
  const lines = shown.map(({ wiki, date, updated, busy }) => {
    const state = busy
      ? "<span class='in-progress'>Dump in progress</span>"
      : "<span class='done'>Dump complete</span>"
    return `                <li>${updated} <a href="${wiki}/${date}">${wiki}</a>: ${state}</li>`
  })
  const other =
    order === 'recency' ? ['backup-index-bydb.html', 'wiki name'] : ['backup-index.html', 'dump date']
  return `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en" dir="ltr">
<head>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<title>Wikimedia Downloads</title>
</head>
<body>
            <h1>Wikimedia Downloads</h1>
            <p>
                Please note that we have rate limited downloaders and we are capping the
                number of per-ip connections to 3.
            </p>
            <div class="status">
                ${shown.some(({ busy }) => busy) ? 'Dumps are in progress...' : 'Dump process is idle.'}
            </div>
            <div class="otherindexlink">
                Also view sorted by <a href="${other[0]}">${other[1]}</a>
            </div>
            <ul>
${lines.join('\n')}
            </ul>
</body>
</html>
`
}

function isBusy(status: DumpStatus): boolean {
  return Object.values(status.jobs).some((job) => job.status === 'in-progress' || job.status === 'waiting')
}

function listingTime(ms: number): string {
  const [, day, month, year, time] =
    /^\w+, (\d+) (\w+) (\d+) (\d+:\d+)/.exec(new Date(ms).toUTCString()) ?? []
  return `${day}-${month}-${year} ${time}`
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
