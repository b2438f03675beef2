/** Line charts as SVG text: a pure function of the numbers, so that the same run gives the same picture. */

export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Chart {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly series: readonly Series[]
}

const WIDTH = 720
const HEIGHT = 300
const LEFT = 70
const RIGHT = 130
const TOP = 34
const BOTTOM = 42
/** Told apart by people who do not see all colours (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#666666']

export function svgOf(chart: Chart): string {
  const xs = chart.series.flatMap((one) => one.points.map(([x]) => x))
  const ys = chart.series.flatMap((one) => one.points.map(([, y]) => y))
  const xMax = niceCeiling(xs.reduce((a, b) => Math.max(a, b), 0))
  const yMax = niceCeiling(ys.reduce((a, b) => Math.max(a, b), 0))
  const px = (x: number) => round(LEFT + (x / xMax) * (WIDTH - LEFT - RIGHT))
  const py = (y: number) => round(HEIGHT - BOTTOM - (y / yMax) * (HEIGHT - TOP - BOTTOM))
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${safe(chart.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="20" font-size="14">${safe(chart.title)}</text>`,
  ]
  for (let i = 0; i <= 4; i++) {
    const y = (yMax * i) / 4
    const x = (xMax * i) / 4
    parts.push(
      `<line x1="${LEFT}" y1="${py(y)}" x2="${WIDTH - RIGHT}" y2="${py(y)}" stroke="#ddd"/>`,
      `<text x="${LEFT - 6}" y="${py(y) + 4}" text-anchor="end">${show(y)}</text>`,
      `<text x="${px(x)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${show(x)}</text>`,
    )
  }
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${safe(chart.xLabel)}</text>`,
    `<text x="14" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})">${safe(chart.yLabel)}</text>`,
  )
  chart.series.forEach((one, index) => {
    const colour = COLOURS[index % COLOURS.length]
    const points = one.points.map(([x, y]) => `${px(x)},${py(y)}`).join(' ')
    const y = TOP + 8 + index * 18
    parts.push(
      `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.6"/>`,
      `<rect x="${WIDTH - RIGHT + 10}" y="${y - 8}" width="12" height="4" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 28}" y="${y}">${safe(one.name)}</text>`,
    )
  })
  return `${parts.join('\n')}\n</svg>\n`
}

/** The next of 1, 2, 2.5, 4, 5, 8, 10 times a power of ten; 1 for nothing. */
export function niceCeiling(value: number): number {
  if (value <= 0) return 1
  let power = 1
  while (power > value) power /= 10
  while (power * 10 <= value) power *= 10
  for (const step of [1, 2, 2.5, 4, 5, 8]) if (value <= step * power) return step * power
  return 10 * power
}

const round = (value: number): number => Math.round(value * 10) / 10

function show(value: number): string {
  for (const [unit, name] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= unit) return `${round(value / unit)}${name}`
  }
  return `${Math.round(value * 1000) / 1000}`
}

const safe = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
