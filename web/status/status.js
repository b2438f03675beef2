// The status page: reads /api/v1 every two seconds while it is looked at, and changes only what changed.
import { element, put, resize, tableRow } from './dom.js'
import {
  ago,
  bytes,
  catalogWords,
  day,
  footWords,
  percent,
  problemWord,
  reachedWords,
  shortId,
  sourceWord,
  stateOf,
  whoWords,
} from './words.js'

const POLL_MS = 2_000
const ANSWER_MS_MAX = 8_000
const ROWS_MAX = 500

const at = (id) => document.getElementById(id)
let shown = { status: null, shards: [] }
let timer = 0
let lastAnswerMs = null

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS_MAX), cache: 'no-store' })
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  return answer.json()
}

async function poll() {
  clearTimeout(timer)
  if (document.hidden) return
  try {
    const [status, { shards, total }] = await Promise.all([
      ask('api/v1/status'),
      ask('api/v1/shards?limit=5000'),
    ])
    shown = { status, shards, total }
    lastAnswerMs = Date.now()
    at('silence').hidden = true
    draw()
  } catch {
    const since = lastAnswerMs === null ? '' : ` What you see is from ${ago(Date.now() - lastAnswerMs)} ago.`
    at('silence').textContent = `The node does not answer.${since} Trying again.`
    at('silence').hidden = false
  }
  timer = setTimeout(poll, POLL_MS)
}

function draw() {
  const { status, shards, total } = shown
  if (status === null) return
  const { counts } = status
  document.title = `${counts.safe}/${counts.shards} safe · WikiSeed`
  at('role').textContent = status.role === 'coordinator' ? 'coordinator' : 'node'
  at('who').textContent = whoWords(status)
  drawVerdict(counts)
  drawFigures(at('federation'), federationFigures(status, shards))
  drawFigures(at('own'), ownFigures(status))
  at('catalog').hidden = status.catalog.source !== 'observed'
  at('catalog').textContent = catalogWords(status.catalog, status.nowMs)
  drawProblems(status)
  drawShards(shards, total)
  drawPorts(status)
  drawNodes(status.nodes)
  at('addresses').textContent = footWords(status)
}

function drawVerdict({ shards, safe }) {
  const verdict = at('verdict')
  const all = shards > 0 && safe === shards
  verdict.classList.toggle('good', all)
  const words =
    shards === 0
      ? 'No catalog is known yet.'
      : all
        ? `All ${shards} dumps are safe.`
        : `${safe} of ${shards} dumps are safe; ${shards - safe} still need copies or proofs.`
  if (verdict.textContent !== words) verdict.textContent = words
}

function federationFigures({ counts, nodes, peers }, shards) {
  const sum = shards.reduce((total, shard) => total + shard.bytes, 0)
  const rows = [
    ['Dumps', `${counts.shards}`, bytes(sum)],
    ['Safe', `${counts.safe}`, percent(counts.safe, counts.shards)],
    [
      'Nodes',
      `${counts.nodesLive}`,
      nodes.length === counts.nodesLive ? 'all live' : `${nodes.length} known`,
    ],
    ['Peers', `${peers}`, 'connected now'],
  ]
  // Coordinators tell nodes what is archived; what is published only they know.
  const kept = [
    ['Archived', counts.archived, 'at the Internet Archive'],
    ['Published', counts.published, ''],
  ]
  for (const [name, count, where] of kept.reverse())
    if (count > 0) rows.splice(2, 0, [name, `${count}`, where])
  return rows
}

function ownFigures({ counts, capacity, traffic, reachable, role, fetches }) {
  const used = capacity.bytesTotal === 0 ? '' : `of ${bytes(capacity.bytesTotal)}`
  const rows = [
    ['Holds', `${counts.held}`, counts.held === 0 ? '' : `${counts.audited} proven by others`],
    ['Claims', `${counts.claimed}`, `${fetches.length} being fetched`],
    ['Space', bytes(capacity.bytesUsed), used],
    ['From Wikimedia', bytes(traffic.originBytes), 'since the start'],
    ['From mirrors', bytes(traffic.elsewhereBytes), 'and the Internet Archive'],
    ['From the swarm', bytes(traffic.swarmDownBytes), 'by BitTorrent'],
    ['Given', bytes(traffic.swarmUpBytes), 'by BitTorrent'],
    ['Audits of others', `${counts.audits.pass}`, auditWords(counts.audits)],
    ['Reachable', reachable ? 'yes' : 'not yet', reachable ? 'others can dial it' : 'nobody dialled back'],
  ]
  return role === 'coordinator' ? rows.slice(3) : rows
}

function auditWords({ pass, fail, offline }) {
  if (fail > 0) return `${fail} failed`
  if (offline > 0) return `${offline} offline`
  return pass > 0 ? 'all passed' : ''
}

function drawFigures(list, rows) {
  resize(list, rows.length, () =>
    element('div', element('dt'), element('dd', element('span'), element('small'))),
  )
  rows.forEach(([name, value, note], index) => {
    const [title, data] = list.children[index].children
    put(title, name)
    put(data.children[0], value)
    put(data.children[1], note === '' ? '' : ` ${note}`)
  })
}

function drawProblems({ problems, nowMs }) {
  at('problems-section').hidden = problems.length === 0
  const list = at('problems')
  const rows = problems.slice(0, 50)
  resize(list, rows.length, () => element('li', element('div'), element('div'), element('ul')))
  rows.forEach((problem, index) => {
    const item = list.children[index]
    const [title, detail, files] = item.children
    const mended = problem.resolvedAtMs !== null
    item.classList.toggle('mended', mended)
    const when = mended
      ? `mended ${ago(nowMs - problem.resolvedAtMs)} ago`
      : `${ago(nowMs - problem.atMs)} ago`
    put(title, [problem.shard, problemWord(problem.code), when].filter((part) => part !== null).join(' · '))
    detail.className = 'quiet'
    put(detail, problem.detail)
    resize(files, Math.min(problem.files.length, 20), () => element('li', element('code')))
    problem.files.slice(0, 20).forEach((file, row) => {
      put(files.children[row].firstChild, file)
    })
  })
}

function drawShards(shards, total) {
  const wanted = at('filter').value.trim().toLowerCase()
  const found = shards.filter(
    (shard) => wanted === '' || `${shard.id} ${shard.infohash ?? ''}`.toLowerCase().includes(wanted),
  )
  // What needs attention stands first.
  const rows = found.sort((a, b) => Number(a.safe) - Number(b.safe)).slice(0, ROWS_MAX)
  const body = at('shards')
  const labels = ['', 'State', 'Proven copies', 'Copies', 'Here', 'Size', 'Torrent']
  resize(body, rows.length, () => tableRow(labels, ['', '', 'number', 'number', '', 'number', '']))
  const sources = new Map((shown.status?.fetches ?? []).map((one) => [one.shard, one]))
  rows.forEach((shard, index) => {
    const cells = [...body.children[index].children].map((cell) => cell.firstChild)
    const [name, state, replicas, held, here, size, torrent] = cells
    put(name, `${shard.wiki} ${day(shard.date)}`)
    name.title = shard.key
    const { word, kind } = stateOf(shard)
    put(state, word)
    state.className = `state ${kind}`
    put(replicas, `${shard.replicas}`)
    put(held, shard.claimed > 0 ? `${shard.held} + ${shard.claimed} coming` : `${shard.held}`)
    drawHere(here, shard, sources.get(shard.id))
    put(size, bytes(shard.bytes))
    drawTorrent(torrent, shard)
  })
  const hidden = found.length - rows.length
  const unread = total - shards.length
  put(
    at('shards-note'),
    shards.length === 0
      ? 'None yet.'
      : hidden + unread > 0
        ? `${rows.length} shown of ${found.length + unread}.`
        : found.length === 0
          ? 'Nothing matches.'
          : '',
  )
}

function drawHere(cell, shard, fetching) {
  if (shard.own !== 'claimed') {
    const from = sourceWord(shard)
    cell.parentElement.classList.toggle('none', shard.own === null)
    put(cell, shard.own === null ? '–' : `held${from === '' ? '' : `, ${from}`}`)
    return
  }
  cell.parentElement.classList.remove('none')
  if (cell.firstElementChild?.tagName !== 'PROGRESS') {
    cell.replaceChildren(element('progress'), element('span'))
    cell.firstChild.max = 100
  }
  const part =
    fetching === undefined
      ? (shard.done * 100) / 16
      : (fetching.doneBytes * 100) / Math.max(1, fetching.sizeBytes)
  cell.firstChild.value = part
  cell.firstChild.setAttribute('aria-label', `${shard.id}: fetched`)
  const from =
    fetching === undefined ? 'waiting' : fetching.from === 'origin' ? 'from Wikimedia' : 'from the swarm'
  put(cell.lastChild, `${Math.floor(part)} % ${from}`)
}

function drawTorrent(cell, { infohash, wiki, date }) {
  if (infohash === null) {
    put(cell, '–')
    return
  }
  const href = `magnet:?xt=urn:btih:${infohash}&dn=${wiki}`
  if (cell.firstElementChild?.getAttribute('href') === href) return
  const link = element('a', element('code'))
  link.href = href
  link.title = `Magnet link of ${wiki} ${date}: ${infohash}`
  link.firstChild.textContent = `${infohash.slice(0, 10)}…`
  cell.replaceChildren(link)
}

function drawPorts({ ports, nowMs }) {
  at('ports-section').hidden = ports.length === 0
  const body = at('ports')
  resize(body, ports.length, () => tableRow(['', 'Over IPv4', 'Over IPv6', 'Home router'], ['', '', '', '']))
  ports.forEach((one, index) => {
    const [name, ipv4, ipv6, router] = [...body.children[index].children].map((cell) => cell.firstChild)
    put(name, `${one.name} ${one.port}/${one.protocol}`)
    put(ipv4, reachedWords(one.ipv4, nowMs))
    put(ipv6, reachedWords(one.ipv6, nowMs))
    put(router, routerWords(one))
  })
}

function drawNodes(nodes) {
  const body = at('nodes')
  const labels = ['', 'Node', 'Standing', 'Reachable', 'Holds', 'Claims', 'Software']
  const rows = nodes.slice(0, ROWS_MAX)
  resize(body, rows.length, () => tableRow(labels, ['', '', '', '', 'number', 'number', '']))
  rows.forEach((node, index) => {
    const cells = [...body.children[index].children].map((cell) => cell.firstChild)
    const [operator, id, standing, reachable, held, claimed, agent] = cells
    const notes = [node.self ? 'this one' : null, node.listed ? 'listed auditor' : null].filter(
      (note) => note !== null,
    )
    const name = node.operator === node.node ? 'no name' : node.operator
    put(operator, notes.length === 0 ? name : `${name} (${notes.join(', ')})`)
    put(id, shortId(node.node))
    id.title = node.node
    put(standing, node.standing)
    standing.className = `state ${node.standing === 'live' ? 'safe' : node.standing === 'resting' ? 'wait' : 'bad'}`
    put(reachable, node.reachable ? 'yes' : 'no')
    put(held, `${node.held}`)
    put(claimed, `${node.claimed}`)
    put(agent, node.agent)
  })
}

document.addEventListener('visibilitychange', poll)
at('filter').addEventListener('input', draw)
poll()
