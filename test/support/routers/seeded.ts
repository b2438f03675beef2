/** What the seed behind the router and those outside agree on. */
export const PORT = 6_881
export const SAMPLE = ['tenwiki', [40_000, 5]] as const
